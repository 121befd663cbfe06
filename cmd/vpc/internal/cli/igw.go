package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) igwCommand() *cobra.Command {
	list := verb("list", "List internet gateways", "vpc igw list", args(0, 0),
		func(*cobra.Command, []string) error { return s.listGateways() })
	show := verb("show IGW", "Show an internet gateway", "vpc igw show main", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showGateway(a[0]) })
	rm := verb("rm IGW…", "Delete internet gateways that are attached to no VPC", "vpc igw rm main", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(igwNoun, a, s.deleteGateway) })
	detach := verb("detach IGW", "Detach an internet gateway from its VPC", "vpc igw detach main", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.detachIgw(a[0]) })
	for _, cmd := range []*cobra.Command{show, rm, detach} {
		s.completeArgs(cmd, igwNoun)
	}
	cmd := group("igw", "Internet gateways", "  vpc igw add main --vpc prod", s.igwAdd(), list, show, s.igwSet(), rm, s.igwAttach(), detach)
	cmd.Long = "Internet gateways connect a VPC with what is outside. A VPC has at most one, and a gateway one VPC.\n" +
		"Through it pass ENIs with a public address: see vpc eip, and --public of vpc attach."
	return cmd
}

func (s *session) igwAdd() *cobra.Command {
	var tags []string
	cmd := verb("add NAME [--vpc VPC]", "Create an internet gateway and attach it", "vpc igw add main --vpc prod\nvpc igw add spare", args(1, 1),
		func(_ *cobra.Command, a []string) error { return doing("create igw "+a[0], s.addGateway(a[0], tags)) })
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

// addGateway makes and attaches in one call: nothing is left of one that fails.
func (s *session) addGateway(name string, pairs []string) error {
	tags, err := nameTags(igwNoun, name, pairs)
	if err != nil {
		return err
	}
	vpcID, err := s.scopeID()
	if err != nil {
		return err
	}
	if err := s.newName(igwNoun, name, ""); err != nil {
		return err
	}
	res, err := change[api.CreateInternetGatewayResult](s, "CreateInternetGateway", &api.CreateInternetGatewayRequest{VpcId: vpcID, TagSpecifications: tags})
	if err != nil {
		return err
	}
	outcome := "created"
	if vpcID != "" {
		outcome += " and attached to " + s.scope.String()
	}
	return s.done(res, gatewayObject(res.InternetGateway), outcome)
}

func (s *session) igwSet() *cobra.Command {
	var name string
	cmd := verb("set IGW", "Change an internet gateway", "vpc igw set main --name edge", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.resolve(igwNoun, a[0], "")
			if err != nil {
				return err
			}
			return s.set(o, changed(cmd, map[string]func() error{
				"name": func() error { return s.rename(igwNoun, o, name) },
			}))
		})
	cmd.Flags().StringVar(&name, "name", "", "new name")
	s.completeArgs(cmd, igwNoun)
	return cmd
}

func (s *session) deleteGateway(o object) (any, error) {
	return change[api.DeleteInternetGatewayResult](s, "DeleteInternetGateway", &api.DeleteInternetGatewayRequest{InternetGatewayId: o.id})
}

func (s *session) igwAttach() *cobra.Command {
	cmd := verb("attach IGW --vpc VPC", "Attach an internet gateway to a VPC", "vpc igw attach spare --vpc prod", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			v, err := s.needScope()
			if err != nil {
				return err
			}
			o, err := s.resolve(igwNoun, a[0], "")
			if err != nil {
				return err
			}
			res, err := change[api.AttachInternetGatewayResult](s, "AttachInternetGateway", &api.AttachInternetGatewayRequest{InternetGatewayId: o.id, VpcId: v.id})
			if err != nil {
				return doing(fmt.Sprintf("attach %s to %s", o, v), err)
			}
			return s.done(res, o, "attached to "+v.String())
		})
	s.completeArgs(cmd, igwNoun)
	return cmd
}

// detachIgw takes the gateway from the VPC that it has, which --vpc only checks.
func (s *session) detachIgw(ref string) error {
	o, err := s.resolve(igwNoun, ref, "")
	if err != nil {
		return err
	}
	vpcID, err := s.scopeID()
	if err != nil {
		return err
	}
	res, err := s.detachGateway(object{id: o.id, vpc: firstOf(vpcID, o.vpc)})
	if err != nil {
		return doing("detach "+o.String(), err)
	}
	return s.done(res, o, "detached from "+firstOf(vpcID, o.vpc))
}

func (s *session) detachGateway(o object) (any, error) {
	if o.vpc == "" {
		return nil, &failure{exit: api.ExitRefused, refusal: api.Error{Code: "Gateway.NotAttached", Message: "it is attached to no VPC", Hint: "vpc igw list"}}
	}
	return change[api.DetachInternetGatewayResult](s, "DetachInternetGateway", &api.DetachInternetGatewayRequest{InternetGatewayId: o.id, VpcId: o.vpc})
}

func findGateways(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeInternetGatewaysResult](s, "DescribeInternetGateways",
		&api.DescribeInternetGatewaysRequest{InternetGatewayIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.InternetGateways, gatewayObject), nil
}

func gatewayObject(v *api.InternetGateway) object {
	return object{kind: "igw", id: v.InternetGatewayId, name: nameOf(v.Tags), vpc: attachedTo(v)}
}

// attachedTo is the VPC of a gateway, "" for none.
func attachedTo(v *api.InternetGateway) string {
	for _, a := range v.Attachments {
		return a.VpcId
	}
	return ""
}

// gatewayScope limits a listing of gateways to the VPC of --vpc.
func (s *session) gatewayScope() ([]api.Filter, error) {
	id, err := s.scopeID()
	if err != nil || id == "" {
		return nil, err
	}
	return []api.Filter{{Name: "attachment.vpc-id", Values: []string{id}}}, nil
}

func (s *session) listGateways() error {
	filters, err := s.gatewayScope()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeInternetGatewaysResult](s, "DescribeInternetGateways", &api.DescribeInternetGatewaysRequest{Filters: filters})
	if err != nil {
		return doing("list internet gateways", err)
	}
	vpcs := s.names(vpcNoun)
	t := &table{head: []string{"NAME", "ID", "VPC", "OWNER", "TAGS"}, wide: 3}
	var ids []string
	for i := range res.InternetGateways {
		g := &res.InternetGateways[i]
		ids = append(ids, g.InternetGatewayId)
		t.add(nameOf(g.Tags), g.InternetGatewayId, firstOf(vpcs[attachedTo(g)], attachedTo(g)), g.OwnerId, tagList(g.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func (s *session) showGateway(ref string) error {
	o, err := s.resolve(igwNoun, ref, "")
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeInternetGatewaysResult](s, "DescribeInternetGateways", &api.DescribeInternetGatewaysRequest{InternetGatewayIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	vpcs := s.names(vpcNoun)
	return s.emit(res, []string{o.id}, func() {
		for i := range res.InternetGateways {
			g := &res.InternetGateways[i]
			s.fields("Name", nameOf(g.Tags), "Id", g.InternetGatewayId, "VPC", both(vpcs[attachedTo(g)], attachedTo(g)), "Owner", g.OwnerId, "Tags", tagList(g.Tags))
		}
	})
}
