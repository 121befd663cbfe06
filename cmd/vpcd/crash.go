//go:build !failpoint

package main

import "github.com/spf13/cobra"

// crashStep is nil in what users run: only crash tests build with failpoints.
func crashStep() func(string) { return nil }

func crashCommands() []*cobra.Command { return nil }
