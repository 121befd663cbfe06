package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// lastEntry is the number of the rule that refuses what no other rule matched.
const lastEntry = 32767

// defaultAcl is what the ACL is called that goes with its VPC; EC2 has no name
// for it.
const defaultAcl = "default"

func (s *session) aclCommand() *cobra.Command {
	list := verb("list", "List network ACLs", "vpc acl list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listAcls() })
	show := verb("show ACL", "Show a network ACL and its entries", "vpc acl show acl-0123456789abcdef0", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showAcl(a[0]) })
	rm := verb("rm ACL…", "Delete network ACLs", "vpc acl rm strict", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(aclNoun, a, s.deleteAcl) })
	show.Long = "Show a network ACL and its entries.\n\n" + hitsHelp
	s.completeArgs(show, aclNoun)
	s.completeArgs(rm, aclNoun)
	cmd := group("acl", "Network ACLs", "  vpc acl rule add strict --in 100 allow tcp/80 --from 0.0.0.0/0",
		s.aclAdd(), list, show, s.aclSet(), rm, s.aclAssociate(), s.aclRule())
	cmd.Long = "Network ACLs filter what crosses the edge of a subnet, each direction on its own. Every subnet has exactly one.\n" +
		"The one that comes with a VPC is called default."
	return cmd
}

func (s *session) aclAdd() *cobra.Command {
	var tags []string
	cmd := verb("add NAME", "Create a network ACL, which denies everything until it has rules", "vpc acl add strict --vpc prod", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			v, err := s.needScope()
			if err != nil {
				return err
			}
			return doing(fmt.Sprintf("create acl %s in %s", a[0], v), s.addAcl(a[0], v, tags))
		})
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

func (s *session) addAcl(name string, v object, pairs []string) error {
	tags, err := nameTags(aclNoun, name, pairs)
	if err != nil {
		return err
	}
	if err := s.newName(aclNoun, name, v.id); err != nil {
		return err
	}
	res, err := change[api.CreateNetworkAclResult](s, "CreateNetworkAcl", &api.CreateNetworkAclRequest{VpcId: v.id, TagSpecifications: tags})
	if err != nil {
		return err
	}
	return s.done(res, aclObject(res.NetworkAcl), "created")
}

func (s *session) aclSet() *cobra.Command {
	var name string
	cmd := verb("set ACL", "Change a network ACL", "vpc acl set strict --name edge", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.scoped(aclNoun, a[0])
			if err != nil {
				return err
			}
			return s.set(o, changed(cmd, map[string]func() error{
				"name": func() error { return s.rename(aclNoun, o, name) },
			}))
		})
	cmd.Flags().StringVar(&name, "name", "", "new name")
	s.completeArgs(cmd, aclNoun)
	return cmd
}

func (s *session) deleteAcl(o object) (any, error) {
	return change[api.DeleteNetworkAclResult](s, "DeleteNetworkAcl", &api.DeleteNetworkAclRequest{NetworkAclId: o.id})
}

func (s *session) aclAssociate() *cobra.Command {
	var subnets []string
	cmd := verb("associate ACL --subnet SUBNET…", "Give subnets another network ACL",
		"vpc acl associate strict --subnet web\nvpc acl associate default --subnet web", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			if len(subnets) == 0 {
				return usagef("vpc acl associate needs --subnet")
			}
			var all []func() error
			for _, ref := range subnets {
				all = append(all, func() error { return s.associate(a[0], ref) })
			}
			return s.steps(all...)
		})
	cmd.Flags().StringArrayVar(&subnets, "subnet", nil, "subnet, may be repeated")
	s.completeArgs(cmd, aclNoun)
	s.completeFlag(cmd, "subnet", subnetNoun)
	return cmd
}

// associate replaces the association that the subnet has at the moment. The
// ACL is one of the subnet's VPC.
func (s *session) associate(acl, subnet string) error {
	n, err := s.scoped(subnetNoun, subnet)
	if err != nil {
		return err
	}
	o, err := s.resolve(aclNoun, acl, n.vpc)
	if err != nil {
		return err
	}
	id, err := s.aclAssociationOf(n)
	if err != nil {
		return doing("find the acl of "+n.String(), err)
	}
	res, err := change[api.ReplaceNetworkAclAssociationResult](s, "ReplaceNetworkAclAssociation",
		&api.ReplaceNetworkAclAssociationRequest{AssociationId: id, NetworkAclId: o.id})
	if err != nil {
		return doing(fmt.Sprintf("give %s to %s", o, n), err)
	}
	line := fmt.Sprintf("%s has %s", n, o)
	if err := s.emit(res, []string{res.NewAssociationId}, func() { s.say("%s", line) }); err != nil {
		return err
	}
	s.warnNoAnswers(o)
	return s.wait(line)
}

// aclAssociationOf is the id of what binds a subnet to its ACL.
func (s *session) aclAssociationOf(n object) (string, error) {
	res, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls", &api.DescribeNetworkAclsRequest{
		Filters: []api.Filter{{Name: "association.subnet-id", Values: []string{n.id}}}})
	if err != nil {
		return "", err
	}
	for _, acl := range res.NetworkAcls {
		for _, a := range acl.Associations {
			if a.SubnetId == n.id {
				return a.NetworkAclAssociationId, nil
			}
		}
	}
	return "", &failure{exit: api.ExitNotFound, refusal: api.Error{Code: "InvalidAssociationID.NotFound",
		Message: "no network ACL names it: it may have been deleted meanwhile", Hint: "vpc subnet list"}}
}

func (s *session) listAcls() error {
	filters, err := s.scopeFilters()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls", &api.DescribeNetworkAclsRequest{Filters: filters})
	if err != nil {
		return doing("list network ACLs", err)
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	t := &table{head: []string{"NAME", "ID", "VPC", "DEFAULT", "SUBNETS", "ENTRIES", "OWNER", "TAGS"}, wide: 6}
	var ids []string
	for i := range res.NetworkAcls {
		a := &res.NetworkAcls[i]
		ids = append(ids, a.NetworkAclId)
		t.add(aclObject(a).name, a.NetworkAclId, firstOf(vpcs[a.VpcId], a.VpcId), yesNo(a.IsDefault), aclSubnets(a, subnets),
			strconv.Itoa(len(a.Entries)), a.OwnerId, tagList(a.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func aclSubnets(a *api.NetworkAcl, subnets map[string]string) string {
	var out []string
	for _, assoc := range a.Associations {
		out = append(out, firstOf(subnets[assoc.SubnetId], assoc.SubnetId))
	}
	return strings.Join(out, ",")
}

func (s *session) showAcl(ref string) error {
	o, err := s.scoped(aclNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNetworkAclsResult](s, "DescribeNetworkAcls", &api.DescribeNetworkAclsRequest{NetworkAclIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	hits, err := s.hits(o)
	if err != nil {
		return err
	}
	vpcs, subnets := s.names(vpcNoun), s.names(subnetNoun)
	return s.emit(aclResult{res, hits}, []string{o.id}, func() {
		for i := range res.NetworkAcls {
			a := &res.NetworkAcls[i]
			s.fields("Name", aclObject(a).name, "Id", a.NetworkAclId, "VPC", both(vpcs[a.VpcId], a.VpcId),
				"Default", yesNo(a.IsDefault), "Subnets", aclSubnets(a, subnets), "Tags", tagList(a.Tags))
			s.say("")
			t := &table{head: append([]string{"DIRECTION", "NUMBER", "ACTION", "TRAFFIC", "PEER"}, hitsHead...)}
			for _, e := range a.Entries {
				t.add(append(aclCells(&e), s.hitCells(byRule(hits), ofEntry(&e))...)...)
			}
			s.print(t)
		}
	})
}

// aclResult is a network ACL for programs, with the hits of its entries if known.
type aclResult struct {
	*api.DescribeNetworkAclsResult
	RuleHits []api.RuleHit `json:",omitzero"`
}
