package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cuepod/cuepod/examples/internal/resp"
	"github.com/cuepod/cuepod/examples/shop/internal/postgres"
)

// store keeps orders in PostgreSQL, and hands them on through a list in Redis.
type store struct {
	database postgres.Config
	queue    string // host:port of Redis
	password string // of Redis
}

// Names in Redis.
const (
	queueKey  = "orders" // a list of ids, the newest first
	reportKey = "report"
)

// order is one order.
type order struct {
	ID    string `json:"id"`
	Item  string `json:"item"`
	State string `json:"state"` // "new" or "packed"
}

// migrate makes what is not there yet.
func (s *store) migrate(ctx context.Context) error {
	_, err := s.query(ctx, `CREATE TABLE IF NOT EXISTS orders (
		id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		item  text NOT NULL,
		state text NOT NULL DEFAULT 'new'
	)`)
	return err
}

// add takes an order, and tells who packs.
func (s *store) add(ctx context.Context, item string) error {
	rows, err := s.query(ctx, `INSERT INTO orders (item) VALUES ($1) RETURNING id`, item)
	if err != nil {
		return err
	}
	_, err = s.redis(ctx, "LPUSH", queueKey, rows[0][0])
	return err
}

// latest gives the newest orders first.
func (s *store) latest(ctx context.Context) ([]order, error) {
	rows, err := s.query(ctx, `SELECT id, item, state FROM orders ORDER BY id DESC LIMIT 20`)
	if err != nil {
		return nil, err
	}
	orders := []order{}
	for _, row := range rows {
		orders = append(orders, order{ID: row[0], Item: row[1], State: row[2]})
	}
	return orders, nil
}

// next waits a moment for an order to pack; "" means that none came.
func (s *store) next(ctx context.Context) (id string, err error) {
	reply, err := s.redis(ctx, "BRPOP", queueKey, "2")
	if err != nil || len(reply.Array) < 2 {
		return "", err
	}
	return reply.Array[1].Text, nil
}

// pack packs an order.
func (s *store) pack(ctx context.Context, id string) error {
	_, err := s.query(ctx, `UPDATE orders SET state = 'packed' WHERE id = $1`, id)
	return err
}

// count is the report.
func (s *store) count(ctx context.Context) (string, error) {
	rows, err := s.query(ctx, `SELECT count(*), count(*) FILTER (WHERE state = 'packed') FROM orders`)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s orders, %s of them packed", rows[0][0], rows[0][1]), nil
}

// publish leaves the report for the page.
func (s *store) publish(ctx context.Context, report string) error {
	_, err := s.redis(ctx, "SET", reportKey, report)
	return err
}

// published is the last report; "" when there was none.
func (s *store) published(ctx context.Context) (string, error) {
	reply, err := s.redis(ctx, "GET", reportKey)
	return reply.Text, err
}

// ready says why no order can be taken.
func (s *store) ready(ctx context.Context) error {
	_, err := s.redis(ctx, "PING")
	if err != nil {
		return err
	}
	_, err = s.query(ctx, `SELECT 1`)
	return err
}

// query runs one statement on a connection of its own.
func (s *store) query(ctx context.Context, statement string, args ...string) (rows [][]string, err error) {
	conn, err := postgres.Dial(ctx, s.database)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Query(statement, args...)
}

// redis runs one command on a connection of its own.
func (s *store) redis(ctx context.Context, args ...string) (v resp.Value, err error) {
	conn, err := resp.Dial(ctx, s.queue, s.password)
	if err != nil {
		return resp.Value{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Do(args...)
}
