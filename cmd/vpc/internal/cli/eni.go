package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) eniCommand() *cobra.Command {
	list := verb("list", "List ENIs", "vpc eni list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listInterfaces() })
	show := verb("show ENI", "Show an ENI", "vpc eni show web1\nvpc eni show docker:web1", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showInterface(a[0]) })
	rm := verb("rm ENI…", "Delete ENIs", "vpc eni rm web1", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(eniNoun, a, s.deleteInterface) })
	s.completeArgs(show, eniNoun)
	s.completeArgs(rm, eniNoun)
	return group("eni", "Network interfaces", "  vpc eni list --vpc prod",
		s.eniAdd(), list, show, s.eniSet(), rm, s.eniStats(), s.eniAddIP(), s.eniRemoveIP())
}

// eniOptions are the flags of eni add.
type eniOptions struct {
	subnet, ip, description string
	groups, tags            []string
	secondary               int32
	tracking                trackingFlags
}

func (s *session) eniAdd() *cobra.Command {
	var o eniOptions
	cmd := verb("add NAME --subnet SUBNET", "Create an ENI", "vpc eni add web1 --subnet web --sg web --ip 10.0.1.10", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			if o.subnet == "" {
				return usagef("vpc eni add needs --subnet")
			}
			return doing("create eni "+a[0], s.addInterface(a[0], &o))
		})
	o.tracking.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.subnet, "subnet", "", "subnet")
	f.StringArrayVar(&o.groups, "sg", nil, "security group, may be repeated")
	f.StringVar(&o.ip, "ip", "", "primary private address")
	f.Int32Var(&o.secondary, "secondary", 0, "number of secondary addresses")
	f.StringVar(&o.description, "description", "", "description")
	f.StringArrayVar(&o.tags, "tag", nil, "KEY=VALUE, may be repeated")
	s.completeFlag(cmd, "subnet", subnetNoun)
	s.completeFlag(cmd, "sg", sgNoun)
	return cmd
}

// addInterface looks up groups in the subnet's VPC, the only one whose groups
// an ENI of that subnet can have.
func (s *session) addInterface(name string, opt *eniOptions) error {
	tags, err := nameTags(eniNoun, name, opt.tags)
	if err != nil {
		return err
	}
	subnet, err := s.scoped(subnetNoun, opt.subnet)
	if err != nil {
		return err
	}
	if err := s.newName(eniNoun, name, subnet.vpc); err != nil {
		return err
	}
	groups, err := s.resolveAll(sgNoun, opt.groups, subnet.vpc)
	if err != nil {
		return err
	}
	req := &api.CreateNetworkInterfaceRequest{SubnetId: subnet.id, Groups: groups, PrivateIpAddress: opt.ip,
		Description: opt.description, TagSpecifications: tags, ConnectionTrackingSpecification: opt.tracking.request()}
	if opt.secondary != 0 {
		req.SecondaryPrivateIpAddressCount = &opt.secondary
	}
	res, err := change[api.CreateNetworkInterfaceResult](s, "CreateNetworkInterface", req)
	if err != nil {
		return err
	}
	return s.done(res, eniObject(res.NetworkInterface), "created with "+addresses(res.NetworkInterface))
}

// addresses is the primary address and then the secondary ones.
func addresses(e *api.NetworkInterface) string {
	out := []string{e.PrivateIpAddress}
	for _, a := range e.PrivateIpAddresses {
		if a.PrivateIpAddress != e.PrivateIpAddress {
			out = append(out, a.PrivateIpAddress)
		}
	}
	return strings.Join(out, ",")
}

// groupNames are the groups of an ENI in one cell.
func groupNames(groups []api.GroupIdentifier) string {
	var out []string
	for _, g := range groups {
		out = append(out, firstOf(g.GroupName, g.GroupId))
	}
	return strings.Join(out, ",")
}

func (s *session) listInterfaces() error {
	filters, err := s.scopeFilters()
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{Filters: filters})
	if err != nil {
		return doing("list ENIs", err)
	}
	subnets, workloads := s.names(subnetNoun), s.workloads()
	t := &table{head: []string{"NAME", "ID", "ADDRESSES", "PUBLIC", "SUBNET", "STATUS", "WORKLOAD", "GROUPS", "MAC", "VPC", "DESCRIPTION", "TAGS"}, wide: 8}
	var ids []string
	for i := range res.NetworkInterfaces {
		e := &res.NetworkInterfaces[i]
		ids = append(ids, e.NetworkInterfaceId)
		t.add(nameOf(e.TagSet), e.NetworkInterfaceId, addresses(e), publicAddresses(e), firstOf(subnets[e.SubnetId], e.SubnetId), statusOf(e),
			workloadOf(e, workloads), groupNames(e.Groups), e.MacAddress, e.VpcId, e.Description, tagList(e.TagSet))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func (s *session) showInterface(ref string) error {
	o, err := s.scoped(eniNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces",
		&api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	subnets, vpcs, workloads := s.names(subnetNoun), s.names(vpcNoun), s.workloads()
	return s.emit(res, []string{o.id}, func() {
		for i := range res.NetworkInterfaces {
			e := &res.NetworkInterfaces[i]
			s.fields("Name", nameOf(e.TagSet), "Id", e.NetworkInterfaceId, "VPC", both(vpcs[e.VpcId], e.VpcId),
				"Subnet", both(subnets[e.SubnetId], e.SubnetId), "Addresses", addresses(e), "Public addresses", publicAddresses(e), "Public name", api.Val(e.Association).PublicDnsName, "MAC", e.MacAddress,
				"Status", statusOf(e), "Workload", workloadOf(e, workloads), "Groups", groupNames(e.Groups),
				"Source/dest check", yesNo(e.SourceDestCheck), "Timeouts", timeouts(e.ConnectionTrackingConfiguration),
				"Description", e.Description, "Tags", tagList(e.TagSet))
		}
	})
}

// eniChanges are the flags of eni set.
type eniChanges struct {
	name, description string
	groups            []string
	check             bool
	tracking          trackingFlags
}

func (s *session) eniSet() *cobra.Command {
	var o eniChanges
	cmd := verb("set ENI", "Change an ENI",
		"vpc eni set web1 --sg web --sg ssh\nvpc eni set router --source-dest-check=false\nvpc eni set web1 --tcp-established-timeout 3600", args(1, 1),
		func(cmd *cobra.Command, a []string) error { return s.setInterface(cmd, a[0], &o) })
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "new name")
	f.StringVar(&o.description, "description", "", "description")
	f.StringArrayVar(&o.groups, "sg", nil, "the security groups it shall have, may be repeated")
	f.BoolVar(&o.check, "source-dest-check", true, "drop what is not from or to its own addresses")
	o.tracking.add(cmd)
	s.completeFlag(cmd, "sg", sgNoun)
	s.completeArgs(cmd, eniNoun)
	return cmd
}

// setInterface makes one call for each attribute, as EC2 wants, but one for
// all timeouts, which are one attribute.
func (s *session) setInterface(cmd *cobra.Command, ref string, opt *eniChanges) error {
	o, err := s.scoped(eniNoun, ref)
	if err != nil {
		return err
	}
	modify := func(req api.ModifyNetworkInterfaceAttributeRequest) error {
		req.NetworkInterfaceId = o.id
		_, err := change[api.ModifyNetworkInterfaceAttributeResult](s, "ModifyNetworkInterfaceAttribute", &req)
		return err
	}
	steps := changed(cmd, map[string]func() error{
		"name": func() error { return s.rename(eniNoun, o, opt.name) },
		"description": func() error {
			return modify(api.ModifyNetworkInterfaceAttributeRequest{Description: &api.AttributeValue{Value: opt.description}})
		},
		"sg": func() error {
			groups, err := s.resolveAll(sgNoun, opt.groups, o.vpc)
			if err != nil {
				return err
			}
			return modify(api.ModifyNetworkInterfaceAttributeRequest{Groups: groups})
		},
		"source-dest-check": func() error {
			return modify(api.ModifyNetworkInterfaceAttributeRequest{SourceDestCheck: &api.AttributeBooleanValue{Value: &opt.check}})
		},
	})
	if t := opt.tracking.request(); t != nil {
		steps = append(steps, func() error {
			return modify(api.ModifyNetworkInterfaceAttributeRequest{ConnectionTrackingSpecification: t})
		})
	}
	return s.set(o, steps)
}

func (s *session) deleteInterface(o object) (any, error) {
	return change[api.DeleteNetworkInterfaceResult](s, "DeleteNetworkInterface",
		&api.DeleteNetworkInterfaceRequest{NetworkInterfaceId: o.id})
}

func (s *session) eniAddIP() *cobra.Command {
	var count int32
	var reassign bool
	cmd := verb("add-ip ENI [ADDRESS…]", "Add secondary addresses", "vpc eni add-ip web1 10.0.1.11\nvpc eni add-ip web1 --count 2", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error {
			if (len(a) > 1) == (count != 0) {
				return usagef("vpc eni add-ip needs either addresses or --count")
			}
			o, err := s.scoped(eniNoun, a[0])
			if err != nil {
				return err
			}
			req := &api.AssignPrivateIpAddressesRequest{NetworkInterfaceId: o.id, PrivateIpAddresses: a[1:]}
			if count != 0 {
				req.SecondaryPrivateIpAddressCount = &count
			}
			if reassign {
				req.AllowReassignment = &reassign
			}
			return doing("add addresses to "+o.String(), s.assign(o, req))
		})
	cmd.Flags().Int32Var(&count, "count", 0, "take this many free addresses")
	cmd.Flags().BoolVar(&reassign, "reassign", false, "take them from the ENI that has them")
	s.completeArgs(cmd, eniNoun)
	return cmd
}

// assign reports the addresses that the daemon chose.
func (s *session) assign(o object, req *api.AssignPrivateIpAddressesRequest) error {
	res, err := change[api.AssignPrivateIpAddressesResult](s, "AssignPrivateIpAddresses", req)
	if err != nil {
		return err
	}
	var got []string
	for _, a := range res.AssignedPrivateIpAddresses {
		got = append(got, a.PrivateIpAddress)
	}
	return s.done(res, o, "has "+strings.Join(got, ", ")+" too")
}

func (s *session) eniRemoveIP() *cobra.Command {
	cmd := verb("rm-ip ENI ADDRESS…", "Remove secondary addresses", "vpc eni rm-ip web1 10.0.1.11", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			o, err := s.scoped(eniNoun, a[0])
			if err != nil {
				return err
			}
			res, err := change[api.UnassignPrivateIpAddressesResult](s, "UnassignPrivateIpAddresses",
				&api.UnassignPrivateIpAddressesRequest{NetworkInterfaceId: o.id, PrivateIpAddresses: a[1:]})
			if err != nil {
				return doing("remove addresses from "+o.String(), err)
			}
			return s.done(res, o, "no longer has "+strings.Join(a[1:], ", "))
		})
	s.completeArgs(cmd, eniNoun)
	return cmd
}

// sortedKeys gives maps an order that does not change from run to run.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// statusOf is EC2's status, and says when the kernel does not have what the
// record says: the workload is away, or not there yet.
func statusOf(e *api.NetworkInterface) string {
	if isDown(e) {
		return e.Status + " (down)"
	}
	return e.Status
}

func isDown(e *api.NetworkInterface) bool {
	return e.Attachment != nil && e.Attachment.Status == api.AttachmentStatusAttaching
}
