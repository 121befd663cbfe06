package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/vpcfabric/vpc/vpcd"
)

// fromFileAndEnv fills flags that the command line does not set: the
// environment (VPCD_DATA_DIR for --data-dir) before the file. Unknown keys and
// wrong types are refused.
func fromFileAndEnv(cmd *cobra.Command, file string) error {
	set := map[string]bool{}
	cmd.Flags().Visit(func(f *pflag.Flag) { set[f.Name] = true })
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		v, ok := os.LookupEnv("VPCD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")))
		if !ok || set[f.Name] || first != nil {
			return
		}
		if err := f.Value.Set(v); err != nil {
			first = fmt.Errorf("%w: environment VPCD_%s: %w", vpcd.ErrRefused, strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")), err)
		}
		set[f.Name] = true
	})
	if first != nil || file == "" {
		return first
	}
	return fromFile(cmd, file, set)
}

func fromFile(cmd *cobra.Command, file string, set map[string]bool) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: --config: %w", vpcd.ErrRefused, err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(raw, &values); err != nil {
		return fmt.Errorf("%w: --config %s: %w", vpcd.ErrRefused, file, err)
	}
	for name, v := range values {
		f := cmd.Flags().Lookup(name)
		if f == nil || name == "config" || name == "help" {
			return fmt.Errorf("%w: --config %s: unknown key %q; the keys are the flags without dashes in front", vpcd.ErrRefused, file, name)
		}
		if set[name] {
			continue
		}
		for _, one := range list(v) {
			if err := f.Value.Set(fmt.Sprint(one)); err != nil {
				return fmt.Errorf("%w: --config %s: %s: %w", vpcd.ErrRefused, file, name, err)
			}
		}
	}
	return nil
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}
