package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd"
)

func cleanupCmd() *cobra.Command {
	var o vpcd.CleanupOptions
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "remove every kernel object of a host",
		Long: "Removes namespaces, links, programs and maps that carry the host's mark, without a daemon or a store.\n" +
			"It refuses while workloads are attached or the daemon runs, unless forced; the store stays unless purged.",
		Example: "  vpcd cleanup\n  vpcd cleanup --all --force\n  vpcd cleanup --name lab --data-dir /tmp/lab --purge-data",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := vpcd.Cleanup(cmd.Context(), o)
			printCleaned(cmd.OutOrStdout(), done, o.DataDir)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", defaultName(), "name of the host")
	f.BoolVar(&o.All, "all", false, "every host on this machine")
	f.BoolVar(&o.Force, "force", false, "also with workloads attached; a running daemon is left alone")
	f.StringVar(&o.DataDir, "data-dir", defaultDataDir, "state directory, for --purge-data")
	f.BoolVar(&o.PurgeData, "purge-data", false, "remove what vpcd keeps in the state directory as well")
	return cmd
}

func printCleaned(w io.Writer, done vpcd.Cleaned, dir string) {
	for _, name := range done.Removed {
		fmt.Fprintf(w, "host %s removed\n", name)
	}
	for _, name := range done.Absent {
		fmt.Fprintf(w, "nothing of host %s is here\n", name)
	}
	switch {
	case done.Kept != "":
		fmt.Fprintf(w, "records in %s removed; the directory stays, because %s\n", dir, done.Kept)
	case done.Purged:
		fmt.Fprintf(w, "data directory %s removed\n", dir)
	}
}
