package main

import (
	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd"
)

func backupCmd() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "backup FILE",
		Short:   "write a copy of the store",
		Long:    "Writes a consistent, checksummed copy of the store; the daemon may run.",
		Example: "  vpcd backup /var/backups/vpc.db",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return vpcd.Backup(cmd.Context(), dir, args[0])
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir, "state directory")
	return cmd
}

func restoreCmd() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "restore FILE",
		Short:   "make a store from a copy",
		Long:    "Fills an empty state directory from a copy. Stop the daemon and move the old directory away first.",
		Example: "  vpcd restore /var/backups/vpc.db",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return vpcd.Restore(cmd.Context(), args[0], dir)
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir, "state directory")
	return cmd
}

func oneArg(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{errOneFile}
	}
	return nil
}
