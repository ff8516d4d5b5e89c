// Command sign leaves a line in a running guestbook, as its form does, and
// reads it back from the page.
//
//	sign MESSAGE URL
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// patience is how long a line may take to be on the page: the follower may be
// a moment behind the leader.
const patience = 10 * time.Second

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sign MESSAGE URL")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := sign(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "sign:", err)
		os.Exit(1)
	}
	fmt.Printf("wrote %q and read it back\n", os.Args[1])
}

// sign writes the message and returns once the page shows it.
func sign(ctx context.Context, message, base string) error {
	base = strings.TrimSuffix(base, "/")
	form := url.Values{"name": {"sign"}, "message": {message}}.Encode()
	page, err := fetch(ctx, http.MethodPost, base+"/entries", form) // the answer leads to the page
	for err == nil && !strings.Contains(page, message) {
		select {
		case <-ctx.Done():
			return errors.New("the page does not show the line")
		case <-time.After(200 * time.Millisecond):
		}
		page, err = fetch(ctx, http.MethodGet, base+"/", "")
	}
	return err
}

func fetch(ctx context.Context, method, url, form string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, strings.TrimSpace(string(body)))
	}
	return string(body), err
}
