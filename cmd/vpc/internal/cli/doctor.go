package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) doctorCommand() *cobra.Command {
	var fix string
	cmd := verb("doctor", "Check what this host needs", "vpc doctor\nvpc doctor --fix CHECK", args(0, 0),
		func(*cobra.Command, []string) error {
			call := []string{"doctor"}
			if fix != "" {
				call = append(call, "--fix", fix)
			}
			if s.output == outputJSON {
				call = append(call, "-o", outputJSON)
			}
			return s.beside("vpcd", call)
		})
	cmd.Long = "Check what this host needs. It runs `vpcd doctor` of the same installation; no daemon has to run."
	cmd.Flags().StringVar(&fix, "fix", "", "mend what this check found")
	return cmd
}

// beside hands the command to another program of this installation.
func (s *session) beside(program string, args []string) error {
	code, err := s.Beside(s.ctx, s.Env, program, args)
	if err != nil {
		return &failure{exit: api.ExitOther, refusal: api.Error{
			Message: fmt.Sprintf("cannot run %s %s: %v", program, args[0], err), Hint: "install " + program + " beside vpc, or in PATH"}}
	}
	if code != api.ExitOK {
		return negative{code}
	}
	return nil
}
