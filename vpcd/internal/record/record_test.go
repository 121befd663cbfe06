package record

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// prefixes is one entry per kind. A kind that is missing here fails TestKinds.
var prefixes = map[string]any{
	Vpcs: Vpc{}, Subnets: Subnet{}, Interfaces: NetworkInterface{}, Groups: SecurityGroup{}, Tables: RouteTable{},
	Acls: NetworkAcl{}, Lists: PrefixList{}, Revisions: PrefixListRevision{}, Instances: Instance{}, Counters: Counter{},
	Addresses: Address{}, Tombstones: Tombstone{}, Guards: Guard{}, Limits: Limit{}, Tokens: Token{}, AccessKeys: AccessKey{}, Revocations: Revocation{},
	Nats: NatGateway{}, Peerings: Peering{}, Gateways: Gateway{}, Elastics: Elastic{}, Publics: Public{}, Statuses: HostStatus{},
}

func TestKinds(t *testing.T) {
	if len(prefixes) != len(kinds) {
		t.Errorf("%d kinds have a prefix, %d can be decoded", len(prefixes), len(kinds))
	}
	for p := range prefixes {
		kind := strings.TrimSuffix(strings.TrimPrefix(p, Root), "/")
		if p != Root+kind+"/" || strings.Contains(kind, "/") || kinds[kind] == nil {
			t.Errorf("prefix %q is not Root, a known kind and a slash", p)
		}
	}
}

// TestRoundTrip: every exported field of every kind survives the store.
func TestRoundTrip(t *testing.T) {
	for p, zero := range prefixes {
		t.Run(p, func(t *testing.T) {
			want := reflect.New(reflect.TypeOf(zero))
			fill(want.Elem(), 1)
			text, err := json.Marshal(want.Interface())
			if err != nil {
				t.Fatal(err)
			}
			have, err := Decode(p+"some-id", text)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(have, want.Interface()) {
				t.Errorf("have %+v\nwant %+v", have, want.Interface())
			}
		})
	}
}

// fill gives every field a value that is not its zero.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		// A time has no exported fields; the zero one survives as well.
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), depth+1)
		fill(v.Index(1), depth+1)
	case reflect.Map:
		filled := reflect.New(v.Type().Elem()).Elem()
		fill(filled, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("eni-1"), filled)
		v.SetMapIndex(reflect.ValueOf("eni-2"), reflect.Zero(v.Type().Elem()))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(1<<8 - 1)
	case reflect.Uint32:
		v.SetUint(uint64(1<<32 - 1))
	case reflect.Int64:
		v.SetInt(1<<62 + 1)
	case reflect.Int32:
		v.SetInt(-1)
	default:
		panic("no value for " + v.Type().String())
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct{ key, value, want string }{
		{"/vpc/v2/vpc/vpc-1", "{}", "outside"},
		{"", "{}", "outside"},
		{Root + "volume/vol-1", "{}", `unknown kind "volume"`},
		{Root, "{}", `unknown kind ""`},
		{Vpcs + "vpc-1", "", "vpc: "},
		{Vpcs + "vpc-1", "{", "vpc: "},
		{Vpcs + "vpc-1", `[]`, "vpc: "},
		{Vpcs + "vpc-1", `{"Index":-1}`, "vpc: "},
		{Subnets + "subnet-1", `{"Index":4294967296}`, "subnet: "},
		{Limits + "x", "\x00\xff", "limit: "},
	} {
		v, err := Decode(tt.key, []byte(tt.value))
		if err == nil || v != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %q: %v, %v; want an error with %q", tt.key, tt.value, v, err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for p := range maps.Keys(prefixes) {
		f.Add(p+"x", []byte("{}"))
	}
	f.Add("/", []byte("null"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		if v, err := Decode(key, value); (v == nil) != (err != nil) {
			t.Errorf("%q %q: %v, %v", key, value, v, err)
		}
	})
}

// TestAddressKeys: keys of one subnet sort as their addresses do, and lead back.
func TestAddressKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")))
		})
		list := rapid.SliceOf(addr).Draw(t, "addresses")
		slices.SortFunc(list, netip.Addr.Compare)
		var keys []string
		for _, a := range list {
			key := AddressKey("subnet-1", a)
			if back, err := ParseAddressKey(key); err != nil || back != a {
				t.Fatalf("%s leads back to %s, %v", key, back, err)
			}
			keys = append(keys, key)
		}
		if !slices.IsSorted(keys) {
			t.Fatalf("keys are out of order: %q", keys)
		}
	})
}

func TestParseAddressKeyRefuses(t *testing.T) {
	for _, key := range []string{"", Addresses, Addresses + "subnet-1/", Addresses + "subnet-1/0a0001", Addresses + "subnet-1/0a00010z",
		Addresses + "subnet-1/0a00010102", Addresses + "subnet-1/0a0001 1"} {
		if a, err := ParseAddressKey(key); err == nil {
			t.Errorf("%q is %s", key, a)
		}
	}
}

func TestRevocationsOf(t *testing.T) {
	if have := RevocationsOf("vpc-1", "sg-2"); have != Revocations+"vpc-1/sg-2/" {
		t.Errorf("%q", have)
	}
}

func TestPublicKeys(t *testing.T) {
	a := netip.MustParseAddr("198.18.0.255")
	if back, err := ParseAddressKey(PublicKey(a)); err != nil || back != a || PublicKey(a) != Publics+"c61200ff" {
		t.Errorf("%s leads back to %s, %v", PublicKey(a), back, err)
	}
}

func TestGatewayAttached(t *testing.T) {
	w := World{Gateways: map[string]*Gateway{
		"igw-1": {Gateway: api.InternetGateway{Attachments: []api.InternetGatewayAttachment{{VpcId: "vpc-1"}}}},
		"igw-2": {},
	}}
	for _, tt := range []struct {
		gateway, vpc string
		want         bool
	}{{"igw-1", "vpc-1", true}, {"igw-1", "vpc-2", false}, {"igw-2", "vpc-1", false}, {"igw-2", "", false}, {"igw-3", "vpc-1", false}} {
		if have := w.GatewayAttached(tt.gateway, tt.vpc); have != tt.want {
			t.Errorf("%s of %s: %t", tt.gateway, tt.vpc, have)
		}
	}
}

func TestNatGatewayAlive(t *testing.T) {
	failed := &NatGateway{Interface: "eni-3", Gateway: api.NatGateway{FailureCode: "InternalError"}}
	w := World{Nats: map[string]*NatGateway{"nat-1": {Interface: "eni-1"}, "nat-2": {Interface: "eni-2", Ended: 5}, "nat-3": failed}}
	for nat, want := range map[string]string{"nat-1": "eni-1", "nat-2": "", "nat-3": "", "nat-4": ""} {
		if have := w.NatInterface(nat); have != want {
			t.Errorf("%s leads to %q, want %q", nat, have, want)
		}
	}
}

func TestInUse(t *testing.T) {
	for i, tt := range []struct {
		eni  *NetworkInterface
		want bool
	}{{nil, false}, {&NetworkInterface{}, false}, {&NetworkInterface{Nat: "nat-1"}, true}, {&NetworkInterface{Attached: &Attachment{}}, true}} {
		if tt.eni.InUse() != tt.want {
			t.Errorf("%d: want %t", i, tt.want)
		}
	}
}

func TestTombstoneKey(t *testing.T) {
	if have := TombstoneKey("eni-1"); have != Tombstones+"eni-1" {
		t.Errorf("%q", have)
	}
}
