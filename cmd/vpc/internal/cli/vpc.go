package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// vpcCommands are the verbs of the VPC itself; its noun is left out.
func (s *session) vpcCommands() []*cobra.Command {
	list := verb("list", "List VPCs", "vpc list\nvpc list -o wide", args(0, 0),
		func(*cobra.Command, []string) error { return s.listVpcs() })
	show := verb("show VPC", "Show a VPC", "vpc show prod", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showVpc(a[0]) })
	s.completeArgs(show, vpcNoun)
	return []*cobra.Command{s.vpcCreate(), list, show, s.vpcSet(), s.vpcDelete()}
}

func (s *session) vpcCreate() *cobra.Command {
	var cidr string
	var tags []string
	cmd := verb("create NAME --cidr CIDR", "Create a VPC",
		"vpc create prod --cidr 10.0.0.0/16", args(1, 1), func(_ *cobra.Command, a []string) error {
			if cidr == "" {
				return usagef("vpc create needs --cidr, for example --cidr 10.0.0.0/16")
			}
			return doing("create vpc "+a[0], s.createVpc(a[0], cidr, tags))
		})
	cmd.Flags().StringVar(&cidr, "cidr", "", "IPv4 CIDR, /16 to /28")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

// createVpc looks for another VPC of that name first. That look and the
// creation are two calls, so two people at once may still make twins, which
// references then refuse as ambiguous.
func (s *session) createVpc(name, cidr string, pairs []string) error {
	tags, err := nameTags(vpcNoun, name, pairs)
	if err != nil {
		return err
	}
	if err := s.newName(vpcNoun, name, ""); err != nil {
		return err
	}
	res, err := change[api.CreateVpcResult](s, "CreateVpc", &api.CreateVpcRequest{CidrBlock: cidr, TagSpecifications: tags})
	if err != nil {
		return err
	}
	return s.done(res, vpcObject(res.Vpc), "created")
}

func (s *session) listVpcs() error {
	res, err := ask[api.DescribeVpcsResult](s, "DescribeVpcs", &api.DescribeVpcsRequest{})
	if err != nil {
		return doing("list VPCs", err)
	}
	t := &table{head: []string{"NAME", "ID", "CIDR", "STATE", "DEFAULT", "OWNER", "TAGS"}, wide: 4}
	var ids []string
	for i := range res.Vpcs {
		v := &res.Vpcs[i]
		ids = append(ids, v.VpcId)
		t.add(nameOf(v.Tags), v.VpcId, vpcCidrs(v), v.State, yesNo(v.IsDefault), v.OwnerId, tagList(v.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

// vpcCidrs is the primary CIDR and then the others.
func vpcCidrs(v *api.Vpc) string {
	out := []string{v.CidrBlock}
	for _, a := range v.CidrBlockAssociationSet {
		if a.CidrBlock != v.CidrBlock {
			out = append(out, a.CidrBlock)
		}
	}
	return strings.Join(out, ",")
}

func (s *session) showVpc(ref string) error {
	o, err := s.resolve(vpcNoun, ref, "")
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeVpcsResult](s, "DescribeVpcs", &api.DescribeVpcsRequest{VpcIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	return s.emit(res, []string{o.id}, func() {
		for i := range res.Vpcs {
			v := &res.Vpcs[i]
			s.fields("Name", nameOf(v.Tags), "Id", v.VpcId, "CIDR", vpcCidrs(v), "State", v.State,
				"Default", yesNo(v.IsDefault), "Owner", v.OwnerId, "Tags", tagList(v.Tags))
		}
	})
}

// vpcOptions are the flags of vpc set.
type vpcOptions struct {
	name, revocation string
	support, hosts   bool
}

func (s *session) vpcSet() *cobra.Command {
	var o vpcOptions
	cmd := verb("set VPC", "Change a VPC", "vpc set prod --revocation cut\nvpc set prod --name production", args(1, 1),
		func(cmd *cobra.Command, a []string) error { return s.setVpc(cmd, a[0], &o) })
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "new name")
	f.StringVar(&o.revocation, "revocation", "", "what happens to open connections when their rule goes: keep, cut")
	f.BoolVar(&o.support, "dns-support", true, "resolver at the VPC's base address plus two")
	f.BoolVar(&o.hosts, "dns-hostnames", false, "give workloads host names")
	complete(cmd, "revocation", api.RevocationKeep, api.RevocationCut)
	s.completeArgs(cmd, vpcNoun)
	return cmd
}

// setVpc makes one call for each flag: EC2 changes one attribute at a time.
func (s *session) setVpc(cmd *cobra.Command, ref string, opt *vpcOptions) error {
	o, err := s.resolve(vpcNoun, ref, "")
	if err != nil {
		return err
	}
	modify := func(req api.ModifyVpcAttributeRequest) func() error {
		return func() error {
			_, err := change[api.ModifyVpcAttributeResult](s, "ModifyVpcAttribute", &req)
			return err
		}
	}
	steps := changed(cmd, map[string]func() error{
		"name": func() error { return s.rename(vpcNoun, o, opt.name) },
		"revocation": func() error {
			_, err := change[api.ModifyVpcOptionsResult](s, "ModifyVpcOptions",
				&api.ModifyVpcOptionsRequest{VpcId: o.id, Revocation: opt.revocation})
			return err
		},
		"dns-support":   modify(api.ModifyVpcAttributeRequest{VpcId: o.id, EnableDnsSupport: &api.AttributeBooleanValue{Value: &opt.support}}),
		"dns-hostnames": modify(api.ModifyVpcAttributeRequest{VpcId: o.id, EnableDnsHostnames: &api.AttributeBooleanValue{Value: &opt.hosts}}),
	})
	return s.set(o, steps)
}

// changed returns the steps whose flags were given, in the order of the flags' names.
func changed(cmd *cobra.Command, byFlag map[string]func() error) (steps []func() error) {
	for _, name := range sortedKeys(byFlag) {
		if cmd.Flags().Changed(name) {
			steps = append(steps, byFlag[name])
		}
	}
	return steps
}

// set runs the steps of a set command on an object.
func (s *session) set(o object, steps []func() error) error {
	if len(steps) == 0 {
		return usagef("nothing to set on %s: name what should change", o)
	}
	if err := s.steps(steps...); err != nil {
		return doing("set "+o.String(), err)
	}
	return s.done(struct{}{}, o, "changed")
}

func (s *session) vpcDelete() *cobra.Command {
	var cascade bool
	cmd := verb("delete VPC", "Delete a VPC",
		"vpc delete prod\nvpc delete prod --cascade --dry-run\nvpc delete prod --cascade --yes", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			o, err := s.resolve(vpcNoun, a[0], "")
			if err != nil {
				return err
			}
			if cascade {
				return s.deleteTree(o)
			}
			return doing("delete "+o.String(), s.deleteVpc(o))
		})
	cmd.Flags().BoolVar(&cascade, "cascade", false, "delete what is in it first: plain deletes, one after another")
	s.completeArgs(cmd, vpcNoun)
	return cmd
}

// deleteVpc adds what a user can do when something is still in the way.
func (s *session) deleteVpc(o object) error {
	res, err := change[api.DeleteVpcResult](s, "DeleteVpc", &api.DeleteVpcRequest{VpcId: o.id})
	if errors.Is(err, errDryRun) {
		return err
	}
	if err != nil {
		f := explain(err)
		if f.Code == "DependencyViolation" {
			f.Hint = "vpc delete " + o.arg() + " --cascade --dry-run"
		}
		return f
	}
	return s.done(res, o, "deleted")
}
