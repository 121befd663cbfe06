package cli

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) routeCommand() *cobra.Command {
	add := s.routeEdit("add", "Add a route", "vpc route add public 0.0.0.0/0 --to igw:main\nvpc route add private 0.0.0.0/0 --to nat:egress\nvpc route add public pl:office --to eni:firewall\nvpc route add private 10.9.0.0/16 --to pcx:prod-dev", s.addRoute)
	set := s.routeEdit("set", "Give a route another target", "vpc route set public 0.0.0.0/0 --to igw:other\nvpc route set private 0.0.0.0/0 --to nat:egress\nvpc route set public 10.0.0.0/16 --to local", s.setRoute)
	rm := verb("rm TABLE DESTINATION…", "Remove routes", "vpc route rm public 0.0.0.0/0", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			var all []func() error
			for _, dest := range a[1:] {
				all = append(all, func() error { return s.removeRoute(a[0], dest) })
			}
			return s.steps(all...)
		})
	s.completeRoute(rm)
	cmd := group("route", "Routes of a route table", "  vpc route add public 0.0.0.0/0 --to igw:main", add, set, rm)
	cmd.Long = "The route with the longest matching prefix decides; destinations are CIDRs and prefix lists. The routes to the\n" +
		"CIDRs of the VPC are in every table. A route whose target is gone is a blackhole: it still decides, and drops.\n" +
		"vpc rt show lists them."
	return cmd
}

// destination is a CIDR or a prefix list.
type destination struct{ cidr4, cidr6, list string }

// everything says whether this is 0.0.0.0/0.
func (d destination) everything() bool {
	p, err := netip.ParsePrefix(d.cidr4)
	return err == nil && p.Bits() == 0
}

// destination reads a CIDR or pl:NAME. Whether the CIDR is a good one is for
// the daemon.
func (s *session) destination(text string) (destination, error) {
	end, err := parsePeer(text)
	switch {
	case err != nil:
		return destination{}, err
	case end.group != "":
		return destination{}, refusef("DESTINATION", "%s: a route leads to a CIDR or a prefix list, not to a group", text)
	case end.list != "":
		o, err := s.resolve(plNoun, end.list, "")
		return destination{list: o.id}, err
	}
	return destination{cidr4: end.cidr4, cidr6: end.cidr6}, nil
}

// routeEdit is add or set.
func (s *session) routeEdit(name, short, example string, do func(o object, dest destination, t target) (any, error)) *cobra.Command {
	var to string
	cmd := verb(name+" TABLE DESTINATION --to TARGET", short, example, args(2, 2),
		func(_ *cobra.Command, a []string) error {
			o, err := s.scoped(rtNoun, a[0])
			if err != nil {
				return err
			}
			dest, err := s.destination(a[1])
			if err != nil {
				return err
			}
			t, err := s.target(to, o.vpc)
			if err != nil {
				return doing(fmt.Sprintf("%s a route of %s", name, o), err)
			}
			res, err := do(o, dest, t)
			if err != nil {
				return doing(fmt.Sprintf("%s the route of %s to %s", name, o, a[1]), err)
			}
			if err := s.done(res, o, fmt.Sprintf("has the route %s to %s", a[1], to)); err != nil {
				return err
			}
			if dest.everything() {
				s.warnOfDefault(o, t)
			}
			return nil
		})
	want, words := wantTarget, targetWords()
	if name == "set" {
		want, words = wantTargetOrLocal, append(words, toLocal)
	}
	cmd.Flags().StringVar(&to, "to", "", want)
	complete(cmd, "to", words...)
	s.completeRoute(cmd)
	return cmd
}

// warnOfDefault is about a default route that was just made.
func (s *session) warnOfDefault(table object, t target) {
	switch {
	case t.gateway != "":
		s.warnUnreachable(table)
	case t.nat != "":
		s.warnOwnSubnet(table, t.nat)
	}
}

func (s *session) addRoute(o object, dest destination, t target) (any, error) {
	if t.local {
		e := refusef("--to", "a table has its local routes from the start, one for each CIDR of its VPC, and no others")
		explain(e).Hint = "vpc route set " + o.arg() + " CIDR --to local restores the target of one"
		return nil, e
	}
	return change[api.CreateRouteResult](s, "CreateRoute", &api.CreateRouteRequest{RouteTableId: o.id,
		GatewayId: t.gateway, NatGatewayId: t.nat, NetworkInterfaceId: t.eni, InstanceId: t.instance, VpcPeeringConnectionId: t.peering,
		DestinationCidrBlock: dest.cidr4, DestinationIpv6CidrBlock: dest.cidr6, DestinationPrefixListId: dest.list})
}

func (s *session) setRoute(o object, dest destination, t target) (any, error) {
	req := &api.ReplaceRouteRequest{RouteTableId: o.id,
		GatewayId: t.gateway, NatGatewayId: t.nat, NetworkInterfaceId: t.eni, InstanceId: t.instance, VpcPeeringConnectionId: t.peering,
		DestinationCidrBlock: dest.cidr4, DestinationIpv6CidrBlock: dest.cidr6, DestinationPrefixListId: dest.list}
	if t.local {
		req.LocalTarget = &t.local
	}
	return change[api.ReplaceRouteResult](s, "ReplaceRoute", req)
}

func (s *session) removeRoute(table, text string) error {
	o, err := s.scoped(rtNoun, table)
	if err != nil {
		return err
	}
	dest, err := s.destination(text)
	if err != nil {
		return err
	}
	res, err := change[api.DeleteRouteResult](s, "DeleteRoute", &api.DeleteRouteRequest{RouteTableId: o.id,
		DestinationCidrBlock: dest.cidr4, DestinationIpv6CidrBlock: dest.cidr6, DestinationPrefixListId: dest.list})
	if err != nil {
		return doing(fmt.Sprintf("remove the route of %s to %s", o, text), err)
	}
	return s.done(res, o, "no longer has a route to "+text)
}

// completeRoute offers tables, then nothing: destinations are typed.
func (s *session) completeRoute(cmd *cobra.Command) {
	names := s.live(rtNoun)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, typed []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(typed) == 0 {
			return names(cmd, typed, word)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// routeDestination is a destination as it is typed, a list by its name where it
// is known.
func routeDestination(r *api.Route, lists map[string]string) string {
	if name := lists[r.DestinationPrefixListId]; name != "" {
		return "pl:" + name
	}
	return firstOf(r.DestinationCidrBlock, r.DestinationIpv6CidrBlock, r.DestinationPrefixListId)
}

// routeTarget is a target as it is typed, a gateway by its name where it is known.
