package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// duration bounds the whole; it takes a few seconds.
const duration = 2 * time.Minute

func main() {
	if len(os.Args) > 1 && os.Args[1] == inside {
		exit(runInside(os.Args[2:]))
	}
	// A closed pipe must not end the process before it has cleaned up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	exit(run(ctx, os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run shows everything, removes everything, and looks whether something is left.
func run(ctx context.Context, out io.Writer) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("it makes network namespaces: run it as root, sudo make demo")
	}
	w, err := newWorld(ctx, out)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, w.remove(), w.leftovers())
	}()
	if err := w.show(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("interrupted: %w", cause)
		}
		return err
	}
	return w.summary()
}
