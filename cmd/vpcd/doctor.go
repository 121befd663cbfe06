package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/preflight"
	"github.com/vpcfabric/vpc/dataplane/progs"
)

var errOneFile = errors.New("exactly one FILE is needed")

func doctorCmd() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "check whether this host can run VPCs",
		Long:    "Checks kernel, file systems and settings; needs no daemon. Exit code 10 when a check fails.",
		Example: "  vpcd doctor\n  vpcd doctor -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return usageError{fmt.Errorf("-o %q: table or json", format)}
			}
			return diagnose(cmd, format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

func diagnose(cmd *cobra.Command, format string) error {
	checks := preflight.Run(cmd.Context(), progs.Probe, dataplane.ForwardDrops)
	failed := false
	for _, c := range checks {
		failed = failed || c.Result == preflight.Fail
	}
	if format == "json" {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"Checks": checks}); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "CHECK\tRESULT\tDETAIL\tFIX")
		for _, c := range checks {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.ID, c.Result, c.Detail, c.Fix)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if failed {
		return errNegative
	}
	return nil
}
