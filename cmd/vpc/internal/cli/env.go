// Package cli is the command tree of vpc. One file holds one noun; what all
// nouns share is the session (flags, connection, waiting), references, rules,
// output and errors. A command reads its arguments, resolves references, calls
// actions and prints; it decides nothing about networks.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vpcfabric/vpc/vpcd/client"
)

// Env is everything a command touches outside itself, so that tests run whole
// commands in the test's process.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Dial           func(socket string) *client.Client
	Now            func() time.Time
	// After is time.After; polling waits on it.
	After func(time.Duration) <-chan time.Time
	// IsTTY tells whether one of the three streams is a terminal.
	IsTTY func(stream any) bool
	// Beside runs a program of this installation with the three streams and
	// returns its exit code.
	Beside  func(ctx context.Context, e Env, program string, args []string) (int, error)
	Version string
}

// System is the Env of a real process.
func System(version string) Env {
	return Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Dial: client.New, Now: time.Now, After: time.After,
		IsTTY: isTerminal, Beside: runBeside, Version: version,
	}
}

// isTerminal takes any character device but /dev/null for a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// runBeside prefers the program in the directory of this one to the one in
// PATH: the two are built and upgraded together.
func runBeside(ctx context.Context, e Env, program string, args []string) (int, error) {
	path := program
	if self, err := os.Executable(); err == nil {
		if near := filepath.Join(filepath.Dir(self), program); isExecutable(near) {
			path = near
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, e.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
