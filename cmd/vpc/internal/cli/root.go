package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, env Env) int {
	s := &session{Env: env, ctx: ctx, until: ctx}
	defer s.close()
	root := s.root()
	// Nil would make cobra read the process's own arguments.
	root.SetArgs(append([]string{}, env.Args...))
	return s.report(root.ExecuteContext(ctx))
}

// root is the whole command tree.
func (s *session) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "vpc",
		Short: "AWS-VPC networking on this host",
		Long: "vpc makes VPCs, subnets and security groups, and attaches containers, namespaces and VMs to them.\n" +
			"It talks to vpcd over a unix socket. References are names, ids, or the beginning of an id.",
		Example: "  vpc create prod --cidr 10.0.0.0/16\n" +
			"  vpc subnet add web --vpc prod --cidr 10.0.1.0/24\n" +
			"  vpc attach docker:web1 --subnet web",
		SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return s.start(cmd.Context()) },
		Args:              noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(s.Stdin)
	root.SetOut(s.Stdout)
	root.SetErr(s.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return commandLine(cmd, err.Error()) })
	s.globalFlags(root)
	root.AddCommand(s.vpcCommands()...)
	root.AddCommand(s.cidrCommand(), s.subnetCommand(), s.attachCommand(), s.detachCommand(), s.eniCommand(),
		s.sgCommand(), s.tagCommand(), s.rtCommand(), s.routeCommand(), s.aclCommand(), s.plCommand(), s.igwCommand(), s.natCommand(), s.eipCommand(), s.peeringCommand(), s.azCommand(), s.limitsCommand(),
		s.dropsCommand(), s.statusCommand(), s.verifyCommand(), s.treeCommand(), s.doctorCommand(),
		s.accessKeyCommand(), s.envCommand(), s.hostCommand(), s.completionCommand(), s.versionCommand(), s.genCommand())
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			cmd.Example = "  vpc help subnet add"
		}
	}
	return root
}

// globalFlags are read once per run. The environment fills in for a flag that
// was not given after parsing, so that --help does not show one user's values.
func (s *session) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&s.socket, "socket", "", "unix socket of vpcd (env VPC_SOCKET, default "+defaultSocket+")")
	f.StringVar(&s.vpc, "vpc", "", "the VPC that names are looked up in (env VPC_VPC)")
	f.StringVar(&s.account, "account", "", "act for this account")
	f.StringVarP(&s.output, "output", "o", outputTable, strings.Join(outputs, ", "))
	f.BoolVarP(&s.quiet, "quiet", "q", false, "print ids only, as -o id")
	f.BoolVar(&s.dryRun, "dry-run", false, "ask whether it would succeed; change nothing")
	f.BoolVar(&s.noWait, "no-wait", false, "do not wait for the kernel")
	f.DurationVar(&s.timeout, "timeout", defaultTimeout, "how long to wait for the daemon and the kernel")
	f.BoolVar(&s.yes, "yes", false, "do not ask for confirmation")
	s.completeFlag(root, "vpc", vpcNoun)
	complete(root, "output", outputs...)
}

// group is a noun: a command that only has commands.
func group(use, short, example string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return commandLine(cmd, fmt.Sprintf("which command? %s has %s", cmd.CommandPath(), strings.Join(verbNames(cmd), ", ")))
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// verbNames lists what could have been typed after a noun.
func verbNames(cmd *cobra.Command) (names []string) {
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return names
}

// noSuchCommand refuses arguments where a command was expected.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := commandLine(cmd, fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath()))
	// Cobra sets this only on its own way to this error.
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		explain(err).Hint = cmd.CommandPath() + " " + near[0]
	}
	return err
}

// commandLine is a usage error that points at the command's help.
func commandLine(cmd *cobra.Command, message string) error {
	return &failure{exit: exitUsage, refusal: api.Error{Message: message, Hint: cmd.CommandPath() + " --help"}}
}

// args checks the number of arguments and names those that are missing.
func args(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return commandLine(cmd, fmt.Sprintf("%s needs %s", cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()+" ")))
		case high >= 0 && len(args) > high:
			return commandLine(cmd, fmt.Sprintf("%s does not take %q", cmd.CommandPath(), args[high]))
		}
		return nil
	}
}

// anyNumber is the upper bound of a command that takes a list.
const anyNumber = -1

// verb makes a command with the verb's usual other names.
func verb(use, short, example string, positional cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: "  " + strings.ReplaceAll(example, "\n", "\n  "), Args: positional, RunE: run}
	cmd.Aliases = verbAliases[cmd.Name()]
	return cmd
}

// verbAliases lets people type the word of the tool they come from.
var verbAliases = map[string][]string{
	"add":    {"create"},
	"create": {"add"},
	"list":   {"ls"},
	"show":   {"describe", "get"},
	"rm":     {"delete", "del"},
	"delete": {"rm", "del"},
}
