package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// completionTimeout keeps a pressed Tab from hanging on a busy daemon.
const completionTimeout = 2 * time.Second

func (s *session) completionCommand() *cobra.Command {
	cmd := verb("completion bash|zsh|fish", "Print the completion script of a shell",
		"vpc completion bash > /etc/bash_completion.d/vpc\nvpc completion zsh > ~/.zfunc/_vpc\nvpc completion fish > ~/.config/fish/completions/vpc.fish", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			switch a[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(s.Stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(s.Stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(s.Stdout, true)
			}
			return commandLine(cmd, fmt.Sprintf("there is no completion for %q: want bash, zsh or fish", a[0]))
		})
	cmd.ValidArgs = []string{"bash", "zsh", "fish"}
	return cmd
}

// completeArgs offers the live names of a noun for every argument.
func (s *session) completeArgs(cmd *cobra.Command, n *noun) {
	cmd.ValidArgsFunction = s.live(n)
}

func (s *session) completeFlag(cmd *cobra.Command, flag string, n *noun) {
	mustRegister(cmd.RegisterFlagCompletionFunc(flag, s.live(n)))
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	mustRegister(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// completeTargets offers the kinds of workload, ready for the name behind them.
func completeTargets(cmd *cobra.Command) {
	var kinds []string
	for _, k := range targetKinds {
		kinds = append(kinds, k+":")
	}
	cmd.ValidArgsFunction = cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
}

// mustRegister fails when a command names a flag it does not have.
func mustRegister(err error) {
	if err != nil {
		panic("cli: completion: " + err.Error())
	}
}

// live asks the daemon for the objects of a noun: names, or ids where there is
// no name. Without a daemon there is nothing to offer.
func (s *session) live(n *noun) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		s.timeout = completionTimeout
		if s.start(cmd.Context()) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := n.find(s, nil, nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		for _, o := range found {
			// A name that does not print could not be typed, nor shown.
			if name := o.short(); name == safe(name) {
				out = append(out, cobra.CompletionWithDesc(name, o.id))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
