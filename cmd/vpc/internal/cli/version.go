package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

func (s *session) versionCommand() *cobra.Command {
	return verb("version", "Show the version of this program", "vpc version", args(0, 0), func(*cobra.Command, []string) error {
		result := struct{ Version, GoVersion string }{s.Version, runtime.Version()}
		return s.emit(result, []string{s.Version}, func() { s.say("vpc %s (%s)", s.Version, runtime.Version()) })
	})
}
