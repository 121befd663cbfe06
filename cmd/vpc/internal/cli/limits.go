package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) limitsCommand() *cobra.Command {
	return verb("limits [NAME=VALUE…]", "Show or change limits", "vpc limits\nvpc limits subnets-per-vpc=500", args(0, anyNumber),
		func(_ *cobra.Command, a []string) error {
			if len(a) == 0 {
				return s.listLimits()
			}
			return s.setLimits(a)
		})
}

func (s *session) listLimits() error {
	res, err := ask[api.DescribeLimitsResult](s, "DescribeLimits", &api.DescribeLimitsRequest{})
	if err != nil {
		return doing("list limits", err)
	}
	t := &table{head: []string{"NAME", "VALUE", "DEFAULT"}}
	var ids []string
	for _, l := range res.Limits {
		ids = append(ids, l.Name)
		t.add(l.Name, number(l.Value), number(l.Default))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

// setLimits takes several, a call each.
func (s *session) setLimits(pairs []string) error {
	var all []func() error
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		value, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || name == "" {
			return usagef("%q is not NAME=VALUE with a whole number", pair)
		}
		all = append(all, func() error {
			res, err := change[api.ModifyLimitResult](s, "ModifyLimit", &api.ModifyLimitRequest{Name: name, Value: &value})
			if err != nil {
				return doing("set limit "+name, err)
			}
			return s.done(res, object{kind: "limit", id: name}, "set to "+text)
		})
	}
	return s.steps(all...)
}
