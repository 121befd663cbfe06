package service

import (
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// EC2 takes any number of objects of one name. People who type names want each
// to mean one object, so a request may say UniqueName, which is ours: it is
// refused where another object of the kind has the name, in the same VPC. The
// check is a part of the transaction; whoever looks first and asks then would
// not see those who do the same.

// uniqueKinds can be asked for: what is made with a Name tag and has no other
// name. A prefix list has one, and its actions have UniqueName themselves.
var uniqueKinds = []string{
	vpcKind.resourceType, subnetKind.resourceType, interfaceKind.resourceType, aclKind.resourceType, tableKind.resourceType,
	gatewayKind.resourceType, elasticKind.resourceType, natKind.resourceType, peeringKind.resourceType,
}

// uniqueName is the name that must be free for what a create call makes, ""
// where any will do.
func uniqueName(specs []api.TagSpecification, tags []api.Tag) string {
	if !slices.ContainsFunc(specs, func(s api.TagSpecification) bool { return api.Val(s.UniqueName) }) {
		return ""
	}
	return nameTag(tags)
}

// checkUniqueName refuses the demand where it would mean nothing.
func checkUniqueName(spec api.TagSpecification, field string) error {
	if api.Val(spec.UniqueName) && !slices.Contains(uniqueKinds, spec.ResourceType) {
		return api.Errorf("UnsupportedOperation", field+".UniqueName", "a %s cannot be asked for a unique name; leave the parameter out", spec.ResourceType)
	}
	return nil
}

// nameFree refuses a name that another object has, among those for which beside
// is true. It reads under guard: an object that gets the name meanwhile makes
// the transaction run again. self is the object's own id, "" for a new one.
func nameFree[T any](c *change, k kind[T], name, self string, beside func(T) bool) error {
	if name == "" {
		return nil
	}
	for _, v := range k.list(c.tx, c.caller) {
		id := k.idOf(v)
		if id == self || k.name(v) != name || !beside(v) {
			continue
		}
		e := api.Errorf(strings.TrimSuffix(k.notFound, "NotFound")+"Duplicate", "Name", "the name %s is that of %s already: choose another one", quote(name), id)
		e.BlockedBy = []api.Blocker{{Kind: strings.TrimSuffix(k.id, "-"), Id: id, Name: name}}
		return e
	}
	return nil
}

// What shares a space of names.
func anyOf[T any](T) bool { return true }

func subnetsOf(vpcID string) func(*record.Subnet) bool {
	return func(v *record.Subnet) bool { return v.Subnet.VpcId == vpcID }
}

func interfacesOfVpc(vpcID string) func(*record.NetworkInterface) bool {
	return func(v *record.NetworkInterface) bool { return v.Interface.VpcId == vpcID }
}

func aclsOf(vpcID string) func(*record.NetworkAcl) bool {
	return func(v *record.NetworkAcl) bool { return v.Acl.VpcId == vpcID }
}

func tablesOf(vpcID string) func(*record.RouteTable) bool {
	return func(v *record.RouteTable) bool { return v.Table.VpcId == vpcID }
}

// listNameFree is nameFree for a prefix list, where that is asked for.
func (c *change) listNameFree(asked *bool, name, self string) error {
	if !api.Val(asked) {
		return nil
	}
	return nameFree(c, listKind, name, self, anyOf)
}

// renameFree is nameFree for objects that get tags.
func (c *change) renameFree(resources []tagged, tags []api.Tag) error {
	name := nameTag(tags)
	if name == "" {
		return nil
	}
	if len(resources) > 1 {
		return api.Errorf("InvalidParameterCombination", "UniqueName", "%d resources are given one name, which cannot be unique", len(resources))
	}
	if len(resources) == 0 {
		return nil
	}
	r := resources[0]
	switch r.resourceType {
	case vpcKind.resourceType:
		return nameFree(c, vpcKind, name, r.id, anyOf)
	case gatewayKind.resourceType:
		return nameFree(c, gatewayKind, name, r.id, anyOf)
	case natKind.resourceType:
		v, err := getNat(c.tx, c.caller, r.id)
		if err != nil {
			return err
		}
		return nameFree(c, natKind, name, r.id, natsOfVpc(v.Gateway.VpcId))
	case elasticKind.resourceType:
		return nameFree(c, elasticKind, name, r.id, anyOf)
	case peeringKind.resourceType:
		return c.peeringNameFree(name, r.id)
	case subnetKind.resourceType:
		v, err := getSubnet(c.tx, c.caller, r.id)
		if err != nil {
			return err
		}
		return nameFree(c, subnetKind, name, r.id, subnetsOf(v.Subnet.VpcId))
	case interfaceKind.resourceType:
		v, err := getInterface(c.tx, c.caller, r.id)
		if err != nil {
			return err
		}
		return nameFree(c, interfaceKind, name, r.id, interfacesOfVpc(v.Interface.VpcId))
	case aclKind.resourceType:
		v, err := getAcl(c.tx, c.caller, r.id)
		if err != nil {
			return err
		}
		return nameFree(c, aclKind, name, r.id, aclsOf(v.Acl.VpcId))
	case tableKind.resourceType:
		v, err := getTable(c.tx, c.caller, r.id)
		if err != nil {
			return err
		}
		return nameFree(c, tableKind, name, r.id, tablesOf(v.Table.VpcId))
	}
	return checkUniqueName(api.TagSpecification{ResourceType: r.resourceType, UniqueName: api.Ptr(true)}, "Tags")
}
