package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// variable is one line of the environment of an EC2 client.
type variable struct {
	name, value string
	// unset: it must not be there.
	unset bool
}

// shells print variables in the language of a shell.
var shells = map[string]func([]variable) (string, error){
	"sh":   shLines,
	"fish": fishLines,
	"json": jsonVariables,
}

func (s *session) envCommand() *cobra.Command {
	var shell string
	cmd := verb("env", "Print what EC2 clients need to reach vpcd", "vpc env\nvpc env --shell fish\nvpc env --shell json", args(0, 0),
		func(*cobra.Command, []string) error { return s.printEnvironment(shell) })
	cmd.Long = "Print the variables with which the aws command, SDKs and Terraform reach vpcd as this account:\n\n" +
		"    eval \"$(vpc env)\"             sh, bash, zsh\n" +
		"    vpc env --shell fish | source\n\n" +
		"The access key is the one named env. It is made at first use and stays the same until it is deleted.\n\n" +
		"What would send a client elsewhere, or a session token that belongs to another key, is unset;\n" +
		"json prints only what is set."
	cmd.Flags().StringVar(&shell, "shell", "sh", "sh, fish or json")
	complete(cmd, "shell", "sh", "fish", "json")
	return cmd
}

// printEnvironment checks the shell first: an answer that cannot be printed
// should not have made a key.
func (s *session) printEnvironment(shell string) error {
	format, ok := shells[shell]
	if !ok {
		return usagef("--shell %s: want sh, fish or json", shell)
	}
	res, err := change[api.GetEnvironmentResult](s, "GetEnvironment", &api.GetEnvironmentRequest{})
	if err != nil {
		return doing("print the environment", err)
	}
	text, err := format(environment(res))
	if err != nil {
		return err
	}
	return s.emit(res, []string{res.AccessKeyId}, func() { fmt.Fprint(s.Stdout, text) })
}

// environment names the region twice because older clients read only the
// second, and keeps clients from asking for credentials in the cloud. The
// endpoint is that of all services and not of EC2 and STS alone: a request for
// a service that vpcd does not have shall fail here, and not reach the cloud.
func environment(res *api.GetEnvironmentResult) []variable {
	all := []variable{
		{name: "AWS_ENDPOINT_URL", value: res.EndpointUrl},
		{name: "AWS_REGION", value: res.Region},
		{name: "AWS_DEFAULT_REGION", value: res.Region},
		{name: "AWS_ACCESS_KEY_ID", value: res.AccessKeyId},
		{name: "AWS_SECRET_ACCESS_KEY", value: res.SecretAccessKey},
		{name: "AWS_EC2_METADATA_DISABLED", value: "true"},
	}
	for _, name := range stale {
		all = append(all, variable{name: name, unset: true})
	}
	return all
}

// stale are variables that clients would combine with ours, or prefer to them.
var stale = []string{
	"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
	"AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
}

// shLines end with a semicolon: an eval of the unquoted text makes one line of
// them.
func shLines(all []variable) (string, error) {
	return quoted(all, func(v variable) string {
		if v.unset {
			return "unset " + v.name + ";\n"
		}
		return "export " + v.name + "='" + strings.ReplaceAll(v.value, "'", `'\''`) + "';\n"
	})
}

func fishLines(all []variable) (string, error) {
	return quoted(all, func(v variable) string {
		if v.unset {
			return "set -e " + v.name + ";\n"
		}
		return "set -gx " + v.name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.value) + "';\n"
	})
}

// quoted refuses what quotes do not hold: a line break ends a line of the
// text, and what does not print has no business in any of these values.
func quoted(all []variable, line func(variable) string) (string, error) {
	var b strings.Builder
	for _, v := range all {
		if safe(v.value) != v.value {
			return "", &failure{exit: api.ExitOther, refusal: api.Error{
				Message: fmt.Sprintf("the value of %s, %q, is not fit for a shell", v.name, v.value), Hint: "vpc env -o json"}}
		}
		b.WriteString(line(v))
	}
	return b.String(), nil
}

func jsonVariables(all []variable) (string, error) {
	members := map[string]string{}
	for _, v := range all {
		if !v.unset {
			members[v.name] = v.value
		}
	}
	text, err := resultJSON(members)
	return text + "\n", err
}
