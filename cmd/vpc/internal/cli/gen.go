package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// genCommand makes the documents that follow from the command tree.
func (s *session) genCommand() *cobra.Command {
	man := verb("man DIR", "Write the man pages", "vpc gen man ./man", args(1, 1), func(cmd *cobra.Command, a []string) error {
		if err := os.MkdirAll(a[0], 0o755); err != nil {
			return err
		}
		now := s.Now()
		return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Section: "1", Source: "vpc " + s.Version, Manual: "vpc", Date: &now}, a[0])
	})
	reference := verb("reference FILE", "Write the reference in Markdown", "vpc gen reference reference.md", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			return os.WriteFile(a[0], reference(cmd.Root()), 0o644)
		})
	cmd := group("gen", "Write man pages and the reference", "  vpc gen man ./man", man, reference)
	cmd.Hidden = true
	return cmd
}

// reference is one Markdown page with every command that is not hidden.
func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# vpc\n\n%s\n\n## Global flags\n\n```\n%s```\n", root.Long, root.PersistentFlags().FlagUsages())
	walk(root, func(cmd *cobra.Command) {
		if cmd == root || cmd.Name() == "help" {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", cmd.CommandPath(), firstOf(cmd.Long, cmd.Short+"."))
		if !cmd.HasSubCommands() {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", cmd.UseLine())
		}
		if len(cmd.Aliases) > 0 {
			fmt.Fprintf(&b, "\nAlso: %s\n", strings.Join(cmd.Aliases, ", "))
		}
		if flags := cmd.NonInheritedFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(&b, "\n```\n%s```\n", flags)
		}
		fmt.Fprintf(&b, "\nExamples:\n\n```\n%s\n```\n", cmd.Example)
	})
	return b.Bytes()
}

// walk visits every command that is not hidden, parents first.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			walk(sub, visit)
		}
	}
}
