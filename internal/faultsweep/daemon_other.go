//go:build !linux

package main

import (
	"context"
	"errors"
	"os"
	"time"
)

type daemon struct{}

var errNoDaemon = errors.New("a private engine needs Linux")

func newDaemon(context.Context, string, ...string) (*daemon, error) { return nil, errNoDaemon }

func (*daemon) socket() string                             { return "" }
func (*daemon) restart(context.Context, os.Signal) error   { return errNoDaemon }
func (*daemon) pause(context.Context, time.Duration) error { return errNoDaemon }
func (*daemon) fill() error                                { return errNoDaemon }
func (*daemon) free() error                                { return errNoDaemon }
func (*daemon) close() error                               { return nil }
