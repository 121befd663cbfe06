package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/vpcfabric/vpc/vpcd"
)

// configFlag names the file; it cannot be set in the file itself.
const configFlag = "config"

// fromFileAndEnv fills flags that the command line does not set: the
// environment (VPCD_DATA_DIR for --data-dir) before the file. Unknown keys and
// wrong types are refused.
func fromFileAndEnv(cmd *cobra.Command) error {
	set := map[string]bool{}
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if set[f.Name] = f.Changed; f.Changed || !isSetting(f) || first != nil {
			return
		}
		name := "VPCD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v, ok := os.LookupEnv(name)
		if !ok {
			return
		}
		if err := f.Value.Set(v); err != nil {
			first = fmt.Errorf("%w: environment %s: %w", vpcd.ErrRefused, name, err)
		}
		set[f.Name] = true
	})
	file := cmd.Flag(configFlag).Value.String()
	if first != nil || file == "" {
		return first
	}
	return fromFile(cmd, file, set)
}

// isSetting tells the flags of the daemon from those that cobra adds.
func isSetting(f *pflag.Flag) bool { return f != nil && f.Name != "help" && f.Name != "version" }

func fromFile(cmd *cobra.Command, file string, set map[string]bool) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: --config: %w", vpcd.ErrRefused, err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(raw, &values); err != nil {
		return fmt.Errorf("%w: --config %s: %w", vpcd.ErrRefused, file, err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := cmd.Flags().Lookup(name)
		if !isSetting(f) || name == configFlag {
			return fmt.Errorf("%w: --config %s: unknown key %q; the keys are the flags without dashes in front", vpcd.ErrRefused, file, name)
		}
		// What the command line overrides has to be right as well: it counts
		// as soon as the flag is left out.
		texts, err := textsOf(f.Value.Type(), values[name])
		if err != nil {
			return fmt.Errorf("%w: --config %s: %s: %w", vpcd.ErrRefused, file, name, err)
		}
		for _, text := range texts {
			if set[name] {
				break
			}
			if err := f.Value.Set(text); err != nil {
				return fmt.Errorf("%w: --config %s: %s: %w", vpcd.ErrRefused, file, name, err)
			}
		}
	}
	return nil
}

// textsOf is a YAML value as it would stand on the command line of a flag of
// the type. YAML guesses types, so that an account's zeros or the name "no"
// would be lost where a guess were taken as text.
func textsOf(flagType string, v any) ([]string, error) {
	want := "text, in quotes if it looks like something else"
	switch flagType {
	case "bool":
		if b, ok := v.(bool); ok {
			return []string{strconv.FormatBool(b)}, nil
		}
		want = "true or false"
	case "string":
		if s, ok := v.(string); ok {
			return []string{s}, nil
		}
	case "stringArray":
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		var out []string
		for _, one := range list {
			s, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("%v: want a list of texts", one)
			}
			out = append(out, s)
		}
		return out, nil
	default:
		if n, ok := v.(float64); ok {
			return []string{strconv.FormatFloat(n, 'f', -1, 64)}, nil
		}
		want = "a number"
	}
	return nil, fmt.Errorf("%v: want %s", v, want)
}
