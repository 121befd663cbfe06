package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) natCommand() *cobra.Command {
	list := verb("list", "List NAT gateways", "vpc nat list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listNats() })
	show := verb("show NAT", "Show a NAT gateway with its addresses", "vpc nat show egress", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showNat(a[0]) })
	rm := verb("rm NAT…", "Delete NAT gateways", "vpc nat rm egress", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(natNoun, a, s.deleteNat) })
	rm.Long = "Delete NAT gateways. Their elastic IPs stay yours, but for one that came with the gateway. Routes to it become blackholes."
	s.completeArgs(show, natNoun)
	s.completeArgs(rm, natNoun)
	cmd := group("nat", "NAT gateways", "  vpc nat add egress --subnet web\n  vpc nat list --vpc prod",
		s.natAdd(), list, show, s.natStats(), s.natSet(), rm, s.natAssociate(), s.natDisassociate())
	cmd.Long = "A NAT gateway lets subnets begin connections to the outside, behind its own addresses, and lets none in.\n" +
		"A public one has an elastic IP and stands in a public subnet; a private one reaches other networks without.\n" +
		"Subnets use it by a route: vpc route add private 0.0.0.0/0 --to nat:egress"
	return cmd
}

// natOptions are the flags of nat add.
type natOptions struct {
	subnet, eip, ip string
	private         bool
	tags            []string
}

func (s *session) natAdd() *cobra.Command {
	var o natOptions
	cmd := verb("add NAME --subnet SUBNET", "Create a NAT gateway",
		"vpc nat add egress --subnet web\nvpc nat add egress --subnet web --eip www\nvpc nat add inner --subnet app --private", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			switch {
			case o.subnet == "":
				return usagef("vpc nat add needs --subnet")
			case o.private && o.eip != "":
				return usagef("a private NAT gateway has no elastic IP: --private or --eip, not both")
			}
			return doing("create nat "+a[0], s.addNat(a[0], &o))
		})
	cmd.Long = "Create a NAT gateway and wait until it is available. Without --eip it allocates an elastic IP, which goes with it."
	f := cmd.Flags()
	f.StringVar(&o.subnet, "subnet", "", "subnet that it stands in")
	f.StringVar(&o.eip, "eip", "", "elastic IP (default: a new one, which goes with the gateway)")
	f.StringVar(&o.ip, "ip", "", "its private address (default: a free one)")
	f.BoolVar(&o.private, "private", false, "no elastic IP: for other private networks")
	f.StringArrayVar(&o.tags, "tag", nil, "KEY=VALUE, may be repeated")
	s.completeFlag(cmd, "subnet", subnetNoun)
	s.completeFlag(cmd, "eip", eipNoun)
	return cmd
}

func (s *session) addNat(name string, opt *natOptions) error {
	tags, err := nameTags(natNoun, name, opt.tags)
	if err != nil {
		return err
	}
	subnet, err := s.scoped(subnetNoun, opt.subnet)
	if err != nil {
		return err
	}
	if err := s.newName(natNoun, name, subnet.vpc); err != nil {
		return err
	}
	req := &api.CreateNatGatewayRequest{SubnetId: subnet.id, PrivateIpAddress: opt.ip, TagSpecifications: tags}
	switch {
	case opt.private:
		req.ConnectivityType = api.ConnectivityTypePrivate
	case opt.eip == "":
		req.AllocateAddress = api.Ptr(true)
	default:
		o, err := s.resolve(eipNoun, opt.eip, "")
		if err != nil {
			return err
		}
		req.AllocationId = o.id
	}
	res, err := change[api.CreateNatGatewayResult](s, "CreateNatGateway", req)
	if err != nil {
		return err
	}
	o := natObject(res.NatGateway)
	if e := natFailure(res.NatGateway); e != nil {
		return e
	}
	if err := s.done(res, o, "created"); err != nil {
		return err
	}
	if !opt.private {
		s.warnNoWayOut(subnet)
	}
	return s.natAvailable(o)
}

// natFailure is what a gateway that could not be built tells of itself.
func natFailure(n *api.NatGateway) error {
	if n.State != api.NatGatewayStateFailed {
		return nil
	}
	return &failure{exit: api.ExitCode(n.FailureCode), did: true, refusal: api.Error{Code: n.FailureCode,
		Message: fmt.Sprintf("%s has failed: %s", n.NatGatewayId, n.FailureMessage), Hint: "vpc nat rm " + n.NatGatewayId}}
}

// natAvailable waits until the gateway is.
func (s *session) natAvailable(o object) error {
	if s.noWait {
		return nil
	}
	defer s.statusLine("waiting for the NAT gateway …")()
	for {
		res, err := ask[api.DescribeNatGatewaysResult](s, "DescribeNatGateways", &api.DescribeNatGatewaysRequest{NatGatewayIds: []string{o.id}})
		if err != nil && !isTimeout(err) {
			return err
		}
		if err == nil && len(res.NatGateways) == 1 {
			n := &res.NatGateways[0]
			if n.State != api.NatGatewayStatePending {
				return natFailure(n)
			}
		}
		if s.until.Err() != nil || s.pause(pollPause) != nil {
			return &failure{exit: api.ExitTimeout, did: true, refusal: api.Error{Code: "Timeout", Hint: "vpc nat show " + o.arg(),
				Message: fmt.Sprintf("%s is not available within %s", o, s.timeout)}}
		}
	}
}

func (s *session) natSet() *cobra.Command {
	var name string
	cmd := verb("set NAT", "Change a NAT gateway", "vpc nat set egress --name out", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.scoped(natNoun, a[0])
			if err != nil {
				return err
			}
			return s.set(o, changed(cmd, map[string]func() error{
				"name": func() error { return s.rename(natNoun, o, name) },
			}))
		})
	cmd.Flags().StringVar(&name, "name", "", "new name")
	s.completeArgs(cmd, natNoun)
	return cmd
}

func (s *session) deleteNat(o object) (any, error) {
	return change[api.DeleteNatGatewayResult](s, "DeleteNatGateway", &api.DeleteNatGatewayRequest{NatGatewayId: o.id})
}

func (s *session) natAssociate() *cobra.Command {
	cmd := verb("associate NAT EIP…", "Give a public NAT gateway more elastic IPs", "vpc nat associate egress 198.18.0.7", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			o, err := s.scoped(natNoun, a[0])
			if err != nil {
				return err
			}
			ids, err := s.resolveAll(eipNoun, a[1:], "")
			if err != nil {
				return err
			}
			res, err := change[api.AssociateNatGatewayAddressResult](s, "AssociateNatGatewayAddress", &api.AssociateNatGatewayAddressRequest{NatGatewayId: o.id, AllocationIds: ids})
			if err != nil {
				return doing("give an elastic IP to "+o.String(), err)
			}
			return s.done(res, o, "has "+strings.Join(a[1:], ", "))
		})
	s.completeArgs(cmd, natNoun)
	return cmd
}

func (s *session) natDisassociate() *cobra.Command {
	cmd := verb("disassociate NAT EIP…", "Take secondary elastic IPs off a NAT gateway", "vpc nat disassociate egress 198.18.0.7", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			o, err := s.scoped(natNoun, a[0])
			if err != nil {
				return err
			}
			ids, err := s.natAssociations(o, a[1:])
			if err != nil {
				return doing("take an elastic IP off "+o.String(), err)
			}
			res, err := change[api.DisassociateNatGatewayAddressResult](s, "DisassociateNatGatewayAddress", &api.DisassociateNatGatewayAddressRequest{NatGatewayId: o.id, AssociationIds: ids})
			if err != nil {
				return doing("take an elastic IP off "+o.String(), err)
			}
			return s.done(res, o, "no longer has "+strings.Join(a[1:], ", "))
		})
	s.completeArgs(cmd, natNoun)
	return cmd
}

// natAssociations looks the associations up: people know addresses.
func (s *session) natAssociations(o object, refs []string) ([]string, error) {
	res, err := ask[api.DescribeNatGatewaysResult](s, "DescribeNatGateways", &api.DescribeNatGatewaysRequest{NatGatewayIds: []string{o.id}})
	if err != nil {
		return nil, err
	}
	of := map[string]string{}
	for _, n := range res.NatGateways {
		for _, a := range n.NatGatewayAddresses {
			of[a.AllocationId] = a.AssociationId
		}
	}
	var out []string
	for _, ref := range refs {
		e, err := s.resolve(eipNoun, ref, "")
		if err != nil {
			return nil, err
		}
		if of[e.id] == "" {
			return nil, &failure{exit: api.ExitNotFound, refusal: api.Error{Code: "InvalidAssociationID.NotFound",
				Message: fmt.Sprintf("%s is not associated with it", e), Hint: "vpc nat show " + o.arg()}}
		}
		out = append(out, of[e.id])
	}
	return out, nil
}
