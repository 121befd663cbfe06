package service

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// TestIDsOfAnotherAccount puts, one by one, another account's id in the place
// of each id of each example. It is not found, in the same words as an id that
// never was, and nothing changes.
func TestIDsOfAnotherAccount(t *testing.T) {
	a, b := newSides(t)
	_, foreign := b.allIDs()
	places := map[string]bool{}
	for _, example := range examples {
		req := example(a)
		name := actionOf(req)
		for i := range idsOf(req) {
			var own, path string
			theirs := copyOf(t, req)
			eachID(theirs, func(n int, at string, v reflect.Value) {
				if n == i {
					own, path = v.String(), at
					v.SetString(foreign[kindOf(own)])
				}
			})
			nobodys := copyOf(t, req)
			eachID(nobodys, func(n int, _ string, v reflect.Value) {
				if n == i {
					v.SetString(unknownID(own))
				}
			})
			places[name+" "+path] = true
			if failsLater.MatchString(name + " " + path) {
				continue
			}
			a.unchanged(t, func() {
				_, _, err := a.call(alice, name, theirs)
				_, _, never := a.call(alice, name, nobodys)
				sameNotFound(t, name+" "+path, foreign[kindOf(own)], err, unknownID(own), never)
			})
		}
		if idsOf(req) > 0 {
			b.unchanged(t, func() {
				if _, _, err := b.call(bob, name, req); !strings.HasSuffix(codeOf(err), "NotFound") {
					t.Errorf("bob calls %s with what is alice's: %v", name, err)
				}
			})
		}
	}
	everyPlace(t, a, places)
}

// failsLater are places of ids for which EC2 has no error: what is made fails, see
// TestNatGatewayFails.
var failsLater = regexp.MustCompile(`^CreateNatGateway .*AllocationId`)

// eachID visits the ids in a request, numbered.
func eachID(req any, visit func(n int, path string, v reflect.Value)) {
	n := 0
	walk(reflect.ValueOf(req), "", func(path string, v reflect.Value) {
		if v.Kind() == reflect.String && idText.MatchString(v.String()) {
			visit(n, path, v)
			n++
		}
	})
}

// unknownID is a well-formed id that nothing has.
func unknownID(like string) string {
	if kindOf(like) == keyIDPrefix {
		return keyIDPrefix + "ZZZZZZZZZZZZZZZZ"
	}
	return kindOf(like) + "fffffffffffffffff"
}

// sameNotFound compares two errors but for the ids in them.
func sameNotFound(t *testing.T, what, theirID string, theirs error, nobodysID string, nobodys error) {
	t.Helper()
	var texts []string
	for _, one := range []struct {
		id  string
		err error
	}{{theirID, theirs}, {nobodysID, nobodys}} {
		if !strings.HasSuffix(codeOf(one.err), "NotFound") {
			t.Errorf("%s = %s: %v, want NotFound", what, one.id, one.err)
		}
		text, err := json.Marshal(one.err)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, strings.ReplaceAll(string(text), one.id, "ID"))
	}
	if texts[0] != texts[1] {
		t.Errorf("%s tells that the object exists:\n%s\n%s", what, texts[0], texts[1])
	}
}

// namesObject matches the members of requests that name objects.
var namesObject = regexp.MustCompile(`(Ids?|^Groups|^Resources)$`)

// ofNoAccount are those whose name says otherwise: zones, and account ids, which
// are the caller's or refused.
var ofNoAccount = regexp.MustCompile(`(AvailabilityZoneId|ZoneIds|UserId|OwnerId)$`)

// notBuilt are members for objects that do not exist here.
var notBuilt = regexp.MustCompile(`((IpamPool|VpcEndpoint|EgressOnlyInternetGateway|TransitGateway|LocalGateway|CarrierGateway)Id|^GatewayId)$`)

// everyPlace fails for a member of a request that names an object and that no
// example uses. What is not built must be refused.
func everyPlace(t *testing.T, s *side, places map[string]bool) {
	t.Helper()
	requests := map[string][]any{}
	for _, example := range examples {
		req := example(s)
		requests[actionOf(req)] = append(requests[actionOf(req)], req)
	}
	for name, action := range api.Actions {
		for _, path := range idMembers(reflect.TypeOf(action.NewRequest()).Elem(), "", 4) {
			switch {
			case name == ofNobody, places[name+" "+path], ofNoAccount.MatchString(path):
			case notBuilt.MatchString(path):
				refusesMember(t, s, requests[name], path)
			default:
				t.Errorf("add an example of %s with %s, so that ids of other accounts are tried there", name, path)
			}
		}
	}
}

// idMembers are the paths of the members below a type that name objects.
func idMembers(typ reflect.Type, path string, depth int) []string {
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ.Kind() == reflect.String && namesObject.MatchString(path[strings.LastIndexByte(path, '.')+1:]):
		return []string{path}
	case typ.Kind() != reflect.Struct || depth == 0:
		return nil
	}
	var out []string
	for i := range typ.NumField() {
		if f := typ.Field(i); f.IsExported() {
			out = append(out, idMembers(f.Type, strings.TrimPrefix(path+"."+f.Name, "."), depth-1)...)
		}
	}
	return out
}

// refusesMember sets a member of the requests in which there is room for it.
func refusesMember(t *testing.T, s *side, requests []any, path string) {
	t.Helper()
	for _, req := range requests {
		req, name, found := copyOf(t, req), actionOf(req), false
		walk(reflect.ValueOf(req), "", func(at string, v reflect.Value) {
			if at == path && v.Kind() == reflect.String && v.String() == "" {
				v.SetString("pcx-00000000000000001")
				found = true
			}
		})
		if !found {
			continue
		}
		if _, _, err := s.call(s.who, name, req); codeOf(err) != "UnsupportedOperation" && codeOf(err) != "InvalidParameterCombination" {
			t.Errorf("%s with %s: %v, want UnsupportedOperation", name, path, err)
		}
	}
}

// accountMembers are the members of results that say whose something is.
var accountMembers = []string{"OwnerId", "AccountId", "UserId", "GroupOwnerId", "InstanceOwnerId", "NetworkInterfaceOwnerId"}

// TestEverythingListedIsTheCallers: no answer has an id of another account, and
// whatever names an account names the caller's.
func TestEverythingListedIsTheCallers(t *testing.T) {
	a, b := newSides(t)
	listed := 0
	for _, pair := range [][2]*side{{a, b}, {b, a}} {
		s, other := pair[0], pair[1]
		for _, example := range examples {
			req := example(s)
			theirs, _ := other.allIDs()
			res, _, err := s.call(s.who, actionOf(req), req)
			if err != nil {
				t.Fatalf("%s: %v", actionOf(req), err)
			}
			text, err := json.Marshal(res)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range idText.FindAllString(string(text), -1) {
				listed++
				if theirs[id] {
					t.Errorf("%s shows %s of another account", actionOf(req), id)
				}
			}
			walk(reflect.ValueOf(res), "", func(path string, v reflect.Value) {
				last := path[strings.LastIndexByte(path, '.')+1:]
				// A route has an owner only if its target is an instance, and an address
				// one of its interface only while it has one.
				absent := v.String() == "" && (strings.Contains(path, "Routes.") || path == "Addresses.NetworkInterfaceOwnerId")
				// Nobody owns the far end of an attachment that only a gateway changes.
				absent = absent || v.String() == ownerOfManaged && strings.HasSuffix(path, "Attachment.InstanceOwnerId")
				if slices.Contains(accountMembers, last) && v.String() != s.who.Account && !absent {
					t.Errorf("%s: %s is %q, the caller is %s", actionOf(req), path, v, s.who.Account)
				}
			})
		}
	}
	if listed < 500 {
		t.Errorf("only %d ids were looked at", listed)
	}
}

// TestAccountsInRequests: an account that a request names beside an object is
// the caller's, or the object is not found.
func TestAccountsInRequests(t *testing.T) {
	a, b := newSides(t)
	tried := 0
	for _, example := range examples {
		req := example(a)
		found := false
		walk(reflect.ValueOf(req), "", func(path string, v reflect.Value) {
			if ofNoAccount.MatchString(path) && v.String() == alice.Account {
				v.SetString(bob.Account)
				found = true
			}
		})
		if !found {
			continue
		}
		tried++
		a.unchanged(t, func() {
			if _, _, err := a.call(alice, actionOf(req), req); codeOf(err) != "InvalidGroup.NotFound" {
				t.Errorf("%s naming bob's account: %v", actionOf(req), err)
			}
		})
	}
	if tried < 5 {
		t.Errorf("only %d examples name an account", tried)
	}
	// What is named otherwise than by an id is looked for in the caller's account too.
	bobs := as[api.DescribeSecurityGroupsResult](b, &api.DescribeSecurityGroupsRequest{GroupIds: []string{b.group}}).SecurityGroups[0].GroupName
	for req, code := range map[any]string{
		&api.DetachWorkloadRequest{Target: b.target}:     "InvalidTarget.NotFound",
		&api.DeleteSecurityGroupRequest{GroupName: bobs}: "InvalidGroup.NotFound",
		&api.AuthorizeSecurityGroupIngressRequest{GroupId: a.group, SourceSecurityGroupName: "default", SourceSecurityGroupOwnerId: bob.Account}: "InvalidGroup.NotFound",
	} {
		a.unchanged(t, func() {
			if _, _, err := a.call(alice, actionOf(req), req); codeOf(err) != code {
				t.Errorf("%s of what is bob's: %v, want %s", actionOf(req), err, code)
			}
		})
	}
}
