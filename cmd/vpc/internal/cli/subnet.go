package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) subnetCommand() *cobra.Command {
	list := verb("list", "List subnets", "vpc subnet list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listSubnets() })
	show := verb("show SUBNET", "Show a subnet", "vpc subnet show web", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showSubnet(a[0]) })
	rm := verb("rm SUBNET…", "Delete subnets", "vpc subnet rm web", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(subnetNoun, a, s.deleteSubnet) })
	s.completeArgs(show, subnetNoun)
	s.completeArgs(rm, subnetNoun)
	return group("subnet", "Subnets", "  vpc subnet add web --vpc prod --cidr 10.0.1.0/24",
		s.subnetAdd(), list, show, s.subnetSet(), rm)
}

// subnetOptions are the flags of subnet add.
type subnetOptions struct {
	cidr, zone string
	size       int32
	public     bool
	tags       []string
}

func (s *session) subnetAdd() *cobra.Command {
	var o subnetOptions
	cmd := verb("add NAME (--cidr CIDR | --size BITS)", "Create a subnet",
		"vpc subnet add web --vpc prod --cidr 10.0.1.0/24\nvpc subnet add db --vpc prod --size 24 --zone local-1b", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			if (o.cidr == "") == !cmd.Flags().Changed("size") {
				return usagef("vpc subnet add needs either --cidr or --size")
			}
			v, err := s.needScope()
			if err != nil {
				return err
			}
			return doing(fmt.Sprintf("create subnet %s in %s", a[0], v), s.addSubnet(a[0], v, &o))
		})
	f := cmd.Flags()
	f.StringVar(&o.cidr, "cidr", "", "IPv4 CIDR inside the VPC's")
	f.Int32Var(&o.size, "size", 0, "prefix length: take the first free CIDR of that size")
	f.StringVar(&o.zone, "zone", "", "availability zone")
	f.BoolVar(&o.public, "public", false, "map public addresses to what is attached")
	f.StringArrayVar(&o.tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

// addSubnet makes the subnet public in the same call: nothing is left of one
// that fails.
func (s *session) addSubnet(name string, v object, opt *subnetOptions) error {
	tags, err := nameTags(subnetNoun, name, opt.tags)
	if err != nil {
		return err
	}
	if err := s.newName(subnetNoun, name, v.id); err != nil {
		return err
	}
	req := &api.CreateSubnetRequest{VpcId: v.id, CidrBlock: opt.cidr, AvailabilityZone: opt.zone, TagSpecifications: tags}
	if opt.public {
		req.MapPublicIpOnLaunch = &opt.public
	}
	res, err := s.createSubnet(v, opt, req)
	if err != nil {
		return err
	}
	o := subnetObject(res.Subnet)
	outcome := "created"
	if opt.cidr == "" {
		outcome += " with " + res.Subnet.CidrBlock
	}
	return s.done(res, o, outcome)
}

// sizeAttempts bounds how often --size looks again after somebody else took
// the CIDR it had found free.
const sizeAttempts = 5

// createSubnet makes the subnet, with --size in the first free CIDR.
func (s *session) createSubnet(v object, opt *subnetOptions, req *api.CreateSubnetRequest) (*api.CreateSubnetResult, error) {
	for attempt := 1; ; attempt++ {
		if opt.cidr == "" {
			free, err := s.freeCidr(v, int(opt.size))
			if err != nil {
				return nil, err
			}
			req.CidrBlock = free.String()
		}
		res, err := change[api.CreateSubnetResult](s, "CreateSubnet", req)
		if refused := (*api.Error)(nil); opt.cidr == "" && attempt < sizeAttempts &&
			errors.As(err, &refused) && refused.Code == "InvalidSubnet.Conflict" {
			continue
		}
		return res, err
	}
}

// freeCidr finds the first CIDR of a VPC that no subnet overlaps.
func (s *session) freeCidr(v object, bits int) (netip.Prefix, error) {
	if bits < 16 || bits > 28 {
		return netip.Prefix{}, refusef("--size", "a subnet has 16 to 28 bits of prefix, not %d", bits)
	}
	vpcs, err := ask[api.DescribeVpcsResult](s, "DescribeVpcs", &api.DescribeVpcsRequest{VpcIds: []string{v.id}})
	if err != nil {
		return netip.Prefix{}, err
	}
	subnets, err := ask[api.DescribeSubnetsResult](s, "DescribeSubnets", &api.DescribeSubnetsRequest{Filters: inVpc(v.id)})
	if err != nil {
		return netip.Prefix{}, err
	}
	var within, taken []netip.Prefix
	for i := range vpcs.Vpcs {
		within = append(within, prefixes(strings.Split(vpcCidrs(&vpcs.Vpcs[i]), ","))...)
	}
	for _, n := range subnets.Subnets {
		taken = append(taken, prefixes([]string{n.CidrBlock})...)
	}
	free, ok := firstFree(within, taken, bits)
	if !ok {
		return free, refusef("--size", "no /%d is free in %s", bits, v)
	}
	return free, nil
}

// setPublic acts on what is attached later, not on what is there.
func (s *session) setPublic(o object, public bool) error {
	_, err := change[api.ModifySubnetAttributeResult](s, "ModifySubnetAttribute", &api.ModifySubnetAttributeRequest{
		SubnetId: o.id, MapPublicIpOnLaunch: &api.AttributeBooleanValue{Value: &public}})
	return err
}

func (s *session) listSubnets() error {
	filters, err := s.scopeFilters()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeSubnetsResult](s, "DescribeSubnets", &api.DescribeSubnetsRequest{Filters: filters})
	if err != nil {
		return doing("list subnets", err)
	}
	vpcs := s.names(vpcNoun)
	t := &table{head: []string{"NAME", "ID", "VPC", "CIDR", "FREE", "ZONE", "STATE", "PUBLIC", "OWNER", "TAGS"}, wide: 7}
	var ids []string
	for i := range res.Subnets {
		v := &res.Subnets[i]
		ids = append(ids, v.SubnetId)
		t.add(nameOf(v.Tags), v.SubnetId, firstOf(vpcs[v.VpcId], v.VpcId), v.CidrBlock, number(v.AvailableIpAddressCount),
			v.AvailabilityZone, v.State, yesNo(v.MapPublicIpOnLaunch), v.OwnerId, tagList(v.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func (s *session) showSubnet(ref string) error {
	o, err := s.scoped(subnetNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeSubnetsResult](s, "DescribeSubnets", &api.DescribeSubnetsRequest{SubnetIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	vpcs := s.names(vpcNoun)
	return s.emit(res, []string{o.id}, func() {
		for i := range res.Subnets {
			v := &res.Subnets[i]
			s.fields("Name", nameOf(v.Tags), "Id", v.SubnetId, "VPC", both(vpcs[v.VpcId], v.VpcId), "CIDR", v.CidrBlock,
				"Free", number(v.AvailableIpAddressCount), "Zone", v.AvailabilityZone, "State", v.State,
				"Public", yesNo(v.MapPublicIpOnLaunch), "Owner", v.OwnerId, "Tags", tagList(v.Tags))
		}
	})
}

func (s *session) subnetSet() *cobra.Command {
	var name string
	var public bool
	cmd := verb("set SUBNET", "Change a subnet", "vpc subnet set web --public\nvpc subnet set web --name frontend", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.scoped(subnetNoun, a[0])
			if err != nil {
				return err
			}
			return s.set(o, changed(cmd, map[string]func() error{
				"name":   func() error { return s.rename(subnetNoun, o, name) },
				"public": func() error { return s.setPublic(o, public) },
			}))
		})
	cmd.Flags().StringVar(&name, "name", "", "new name")
	cmd.Flags().BoolVar(&public, "public", false, "map public addresses to what is attached")
	s.completeArgs(cmd, subnetNoun)
	return cmd
}

func (s *session) deleteSubnet(o object) (any, error) {
	return change[api.DeleteSubnetResult](s, "DeleteSubnet", &api.DeleteSubnetRequest{SubnetId: o.id})
}

// remove deletes objects one after another and stops at the first that cannot
// be deleted; a dry run tries them all.
func (s *session) remove(n *noun, refs []string, del func(object) (any, error)) error {
	return s.removed(n, refs, "delete", del)
}

// removed is remove with another verb, whose past adds a d.
func (s *session) removed(n *noun, refs []string, word string, del func(object) (any, error)) error {
	var dry error
	for _, ref := range refs {
		o, err := s.scoped(n, ref)
		if err != nil {
			return err
		}
		res, err := del(o)
		if errors.Is(err, errDryRun) {
			dry = err
			continue
		}
		if err != nil {
			return doing(word+" "+o.String(), err)
		}
		if err := s.done(res, o, word+"d"); err != nil {
			return err
		}
	}
	return dry
}

// both is "name (id)", or the id.
func both(name, id string) string {
	if name == "" {
		return id
	}
	return name + " (" + id + ")"
}
