package record

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Root is the prefix of every key; the number is the layout's version.
const Root = "/vpc/v1/"

// Prefixes, one per kind. A kind's records are Root + kind + "/" + id.
const (
	Vpcs       = Root + "vpc/"
	Subnets    = Root + "subnet/"
	Interfaces = Root + "eni/"
	Groups     = Root + "sg/"
	Tables     = Root + "rtb/"
	Acls       = Root + "acl/"
	Lists      = Root + "pl/"
	Gateways   = Root + "igw/"
	Nats       = Root + "nat/"
	Elastics   = Root + "eip/"
	Peerings   = Root + "pcx/"
	Publics    = Root + "public/" // + 8 hex digits, see PublicKey
	Instances  = Root + "instance/"
	Counters   = Root + "counter/"
	Addresses  = Root + "address/" // + subnet id + "/" + 8 hex digits
	Tombstones = Root + "tombstone/"
	Guards     = Root + "guard/" // + parent id
	Limits     = Root + "limit/"
	Tokens     = Root + "token/" // + account + "/" + action + "/" + digest
	AccessKeys = Root + "accesskey/"
	// Revisions of prefix lists: + list id + "/" + 16 hex digits, see RevisionKey.
	Revisions = Root + "plrev/"
	// Revocations of rules: + VPC id + "/" + group id + "/" + an id of its own.
	Revocations = Root + "revoked/"
	// Statuses are written by hosts; they never wake the planner.
	Statuses = Root + "status/"
)

// AddressKey is the claim of one address; keys sort as addresses do.
func AddressKey(subnet string, a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf("%s%s/%02x%02x%02x%02x", Addresses, subnet, b[0], b[1], b[2], b[3])
}

// PublicKey is the claim of one public address; keys sort as addresses do.
func PublicKey(a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf("%s%02x%02x%02x%02x", Publics, b[0], b[1], b[2], b[3])
}

// ParseAddressKey is the inverse of AddressKey and of PublicKey.
func ParseAddressKey(key string) (netip.Addr, error) {
	b, err := hex.DecodeString(key[strings.LastIndexByte(key, '/')+1:])
	if err == nil && len(b) != net4 {
		err = fmt.Errorf("%d bytes", len(b))
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("address claim %q: %w", key, err)
	}
	return netip.AddrFrom4([net4]byte(b)), nil
}

// net4 is the size of an IPv4 address, bytes.
const net4 = 4

// RevisionKey is what an older version of a prefix list differed in from the
// version after it.
func RevisionKey(list string, version int64) string {
	return fmt.Sprintf("%s%s/%016x", Revisions, list, version)
}

// RevocationsOf is the prefix of all revocations of one group.
func RevocationsOf(vpc, group string) string { return Revocations + vpc + "/" + group + "/" }

// TombstoneKey confirms the deletion of the record with this id.
func TombstoneKey(id string) string { return Tombstones + id }

// kinds maps a prefix to a fresh value of its type.
var kinds = map[string]func() any{
	"vpc":       func() any { return new(Vpc) },
	"subnet":    func() any { return new(Subnet) },
	"eni":       func() any { return new(NetworkInterface) },
	"sg":        func() any { return new(SecurityGroup) },
	"rtb":       func() any { return new(RouteTable) },
	"acl":       func() any { return new(NetworkAcl) },
	"pl":        func() any { return new(PrefixList) },
	"plrev":     func() any { return new(PrefixListRevision) },
	"igw":       func() any { return new(Gateway) },
	"nat":       func() any { return new(NatGateway) },
	"eip":       func() any { return new(Elastic) },
	"pcx":       func() any { return new(Peering) },
	"public":    func() any { return new(Public) },
	"instance":  func() any { return new(Instance) },
	"counter":   func() any { return new(Counter) },
	"address":   func() any { return new(Address) },
	"tombstone": func() any { return new(Tombstone) },
	"guard":     func() any { return new(Guard) },
	"limit":     func() any { return new(Limit) },
	"token":     func() any { return new(Token) },
	"accesskey": func() any { return new(AccessKey) },
	"revoked":   func() any { return new(Revocation) },
	"status":    func() any { return new(HostStatus) },
}

// Decode reads one record; the store calls it once per stored revision.
func Decode(key string, value []byte) (any, error) {
	rest, ok := strings.CutPrefix(key, Root)
	if !ok {
		return nil, fmt.Errorf("key %q is outside %s", key, Root)
	}
	kind, _, _ := strings.Cut(rest, "/")
	make, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind %q", kind)
	}
	v := make()
	if err := json.Unmarshal(value, v); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return v, nil
}
