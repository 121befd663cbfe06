package service

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// What EC2 takes: characters, not bytes.
const (
	maxTags     = 50
	maxTagKey   = 127
	maxTagValue = 255
)

// specTags returns the tags that a create call gives to what it makes, sorted
// by key. resourceType is EC2's name of it, such as "security-group".
func specTags(specs []api.TagSpecification, resourceType string) ([]api.Tag, error) {
	var tags []api.Tag
	for i, spec := range specs {
		field := "TagSpecifications." + strconv.Itoa(i)
		if spec.ResourceType != resourceType {
			return nil, api.Errorf("InvalidParameterValue", field+".ResourceType",
				"%s is not a taggable resource type for this operation; it makes a %s", quote(spec.ResourceType), resourceType)
		}
		if i > 0 {
			return nil, api.Errorf("InvalidParameterValue", field+".ResourceType",
				"the resource type %s is given twice; put all tags in one specification", resourceType)
		}
		if err := checkUniqueName(spec, field); err != nil {
			return nil, err
		}
		if len(spec.Tags) == 0 {
			return nil, api.Errorf("InvalidParameterValue", field+".Tags", "a tag specification must have at least one tag; leave it out otherwise")
		}
		if err := checkTags(spec.Tags, field+".Tags"); err != nil {
			return nil, err
		}
		tags = mergeTags(nil, spec.Tags)
	}
	return tags, nil
}

// checkTags validates the tags of one request; field is where they are in it.
func checkTags(tags []api.Tag, field string) error {
	if len(tags) > maxTags {
		return api.Errorf("TagLimitExceeded", field, "%d tags are given, but a resource has at most %d", len(tags), maxTags)
	}
	seen := map[string]bool{}
	for i, t := range tags {
		at := field + "." + strconv.Itoa(i)
		if err := checkTag(t, at); err != nil {
			return err
		}
		if seen[t.Key] {
			return api.Errorf("InvalidParameterValue", at+".Key", "the tag key %s is given twice; keys are unique", quote(t.Key))
		}
		seen[t.Key] = true
	}
	return nil
}

func checkTag(t api.Tag, at string) error {
	switch {
	case t.Key == "":
		return api.Errorf("InvalidParameterValue", at+".Key", "tag keys cannot be empty")
	case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
		return api.Errorf("InvalidParameterValue", at+".Key", "tag keys starting with 'aws:' are reserved; %s needs another prefix", quote(t.Key))
	}
	if reason := badText(t.Key, maxTagKey); reason != "" {
		return api.Errorf("InvalidParameterValue", at+".Key", "the tag key %s %s", quote(t.Key), reason)
	}
	if reason := badText(t.Value, maxTagValue); reason != "" {
		return api.Errorf("InvalidParameterValue", at+".Value", "the tag value %s %s", quote(t.Value), reason)
	}
	return nil
}

// badText says what keeps s from being shown to people, or "". Control and
// direction-changing characters can forge log lines and table rows.
func badText(s string, limit int) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return "has " + strconv.Itoa(n) + " characters, at most " + strconv.Itoa(limit) + " are possible"
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return "has the control character " + strconv.QuoteRuneToASCII(r) + "; leave it out"
		}
	}
	return ""
}

// mergeTags is have with set laid over it, sorted by key, in a new slice.
func mergeTags(have, set []api.Tag) []api.Tag {
	out := slices.Clone(set)
	for _, t := range have {
		if !slices.ContainsFunc(set, func(s api.Tag) bool { return s.Key == t.Key }) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b api.Tag) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// nameTag is the value of the tag Name, "" without one.
func nameTag(tags []api.Tag) string {
	for _, t := range tags {
		if t.Key == "Name" {
			return t.Value
		}
	}
	return ""
}

// tagged is a record whose tags can be read and replaced.
type tagged struct {
	id           string
	resourceType string
	tags         []api.Tag
	// put writes the record with other tags.
	put func(tx *store.Tx, tags []api.Tag)
}

// taggedKind finds records of one kind for the tag actions.
type taggedKind struct {
	prefix string
	get    func(r store.Reader, c Caller, id, field string) (tagged, error)
	list   func(r store.Reader, c Caller) []tagged
}

// taggedOf makes the tag actions know a kind; set writes to a copy.
func taggedOf[T any](k kind[*T], set func(*T, []api.Tag)) taggedKind {
	wrap := func(v *T) tagged {
		return tagged{id: k.idOf(v), resourceType: k.resourceType, tags: k.tags(v), put: func(tx *store.Tx, tags []api.Tag) {
			changed := *v
			set(&changed, tags)
			tx.Put(k.keys+k.idOf(v), &changed)
		}}
	}
	return taggedKind{
		prefix: k.id,
		get: func(r store.Reader, c Caller, id, field string) (tagged, error) {
			v, err := k.getAs(r, c, id, field)
			if err != nil {
				return tagged{}, err
			}
			return wrap(v), nil
		},
		list: func(r store.Reader, c Caller) []tagged {
			var out []tagged
			for _, v := range k.list(r, c) {
				out = append(out, wrap(v))
			}
			return out
		},
	}
}

var taggedKinds = []taggedKind{
	taggedOf(vpcKind, func(v *record.Vpc, t []api.Tag) { v.Vpc.Tags = t }),
	taggedOf(subnetKind, func(v *record.Subnet, t []api.Tag) { v.Subnet.Tags = t }),
	taggedOf(interfaceKind, func(v *record.NetworkInterface, t []api.Tag) { v.Interface.TagSet = t }),
	taggedOf(groupKind, func(v *record.SecurityGroup, t []api.Tag) { v.Group.Tags = t }),
	taggedOf(tableKind, func(v *record.RouteTable, t []api.Tag) { v.Table.Tags = t }),
	taggedOf(aclKind, func(v *record.NetworkAcl, t []api.Tag) { v.Acl.Tags = t }),
	taggedOf(listKind, func(v *record.PrefixList, t []api.Tag) { v.List.Tags = t }),
	taggedOf(gatewayKind, func(v *record.Gateway, t []api.Tag) { v.Gateway.Tags = t }),
	taggedOf(natKind, func(v *record.NatGateway, t []api.Tag) { v.Gateway.Tags = t }),
	taggedOf(elasticKind, func(v *record.Elastic, t []api.Tag) { v.Address.Tags = t }),
	{prefix: peeringKind.id, get: getTaggedPeering, list: listTaggedPeerings},
	taggedOf(instanceKind, func(v *record.Instance, t []api.Tag) { v.Tags = t }),
	{prefix: ruleIDPrefix, get: getTaggedRule, list: listTaggedRules},
}

// getTaggedRule finds a security group rule. Rules have tags of their own and
// are stored in their group.
func getTaggedRule(r store.Reader, c Caller, id, field string) (tagged, error) {
	if !wellFormed(id, ruleIDPrefix) {
		return tagged{}, api.Errorf("InvalidSecurityGroupRuleId.Malformed", field, "invalid id %s: the id of a security group rule is sgr- and 17 digits or letters a-f", quote(id))
	}
	for _, g := range groupKind.list(r, c) {
		for i := range g.Rules {
			if g.Rules[i].SecurityGroupRuleId == id {
				return taggedRule(g, i), nil
			}
		}
	}
	return tagged{}, api.Errorf("InvalidSecurityGroupRuleId.NotFound", field, "the security group rule ID '%s' does not exist", id)
}

func listTaggedRules(r store.Reader, c Caller) []tagged {
	var out []tagged
	for _, g := range groupKind.list(r, c) {
		for i := range g.Rules {
			out = append(out, taggedRule(g, i))
		}
	}
	return out
}

func taggedRule(g *record.SecurityGroup, i int) tagged {
	rule := g.Rules[i]
	return tagged{id: rule.SecurityGroupRuleId, resourceType: ruleResourceType, tags: rule.Tags, put: func(tx *store.Tx, tags []api.Tag) {
		// Another rule of the group may have been tagged in the same call.
		key := record.Groups + g.Group.GroupId
		now, ok := store.Get[*record.SecurityGroup](tx, key)
		if !ok || i >= len(now.Rules) {
			return
		}
		changed := *now
		changed.Rules = slices.Clone(now.Rules)
		changed.Rules[i].Tags = tags
		tx.Put(key, &changed)
	}}
}

// maxTagResources keeps one call within one transaction.
const maxTagResources = 90

// findTagged looks up the resources of a tag call, in its order.
func findTagged(r store.Reader, c Caller, ids []string) ([]tagged, error) {
	if len(ids) > maxTagResources {
		return nil, api.Errorf("InvalidParameterValue", "Resources", "%d resources are given, one call takes at most %d; split the call", len(ids), maxTagResources)
	}
	var out []tagged
	seen := map[string]bool{}
	for i, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		found, err := findOneTagged(r, c, id, "Resources."+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		out = append(out, found)
	}
	return out, nil
}

func findOneTagged(r store.Reader, c Caller, id, field string) (tagged, error) {
	for _, k := range taggedKinds {
		if strings.HasPrefix(id, k.prefix) {
			return k.get(r, c, id, field)
		}
	}
	return tagged{}, api.Errorf("InvalidID", field, "the ID %s is not that of a resource that can be tagged; it looks like vpc-0123456789abcdef0", quote(id))
}

// createTags sets the tags on all resources or on none. Tags with the same key
// are overwritten. Codes: InvalidID for what is no taggable resource, the
// NotFound code of its kind, InvalidParameterValue, TagLimitExceeded.
func (s *Service) createTags(ctx context.Context, caller Caller, req *api.CreateTagsRequest) (*api.CreateTagsResult, int64, error) {
	if err := checkTags(req.Tags, "Tags"); err != nil {
		return nil, 0, err
	}
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		resources, err := findTagged(c.tx, c.caller, req.Resources)
		if err != nil {
			return err
		}
		if api.Val(req.UniqueName) {
			if err := c.renameFree(resources, req.Tags); err != nil {
				return err
			}
		}
		for _, r := range resources {
			tags := mergeTags(r.tags, req.Tags)
			if len(tags) > maxTags {
				return api.Errorf("TagLimitExceeded", "Tags", "%s would have %d tags, at most %d are possible; delete some first", r.id, len(tags), maxTags)
			}
			r.put(c.tx, tags)
		}
		return nil
	})
	return &api.CreateTagsResult{}, revision, err
}

// deleteTags removes the named tags, or all where none is named. A tag named with
// a value, the empty one too, is removed only if it has that value; one that is
// not there is no error.
func (s *Service) deleteTags(ctx context.Context, caller Caller, req *api.DeleteTagsRequest) (*api.DeleteTagsResult, int64, error) {
	for i, t := range req.Tags {
		if err := checkTag(api.Tag{Key: t.Key, Value: api.Val(t.Value)}, "Tags."+strconv.Itoa(i)); err != nil {
			return nil, 0, err
		}
	}
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		resources, err := findTagged(c.tx, c.caller, req.Resources)
		if err != nil {
			return err
		}
		for _, r := range resources {
			left := slices.DeleteFunc(slices.Clone(r.tags), func(t api.Tag) bool { return tagNamed(t, req.Tags) })
			if len(left) != len(r.tags) {
				r.put(c.tx, left)
			}
		}
		return nil
	})
	return &api.DeleteTagsResult{}, revision, err
}

func tagNamed(t api.Tag, named []api.DeletedTag) bool {
	if len(named) == 0 {
		return true
	}
	return slices.ContainsFunc(named, func(n api.DeletedTag) bool {
		return n.Key == t.Key && (n.Value == nil || *n.Value == t.Value)
	})
}

var tagFilters = map[string]func(api.TagDescription) []string{
	"key":           func(t api.TagDescription) []string { return []string{t.Key} },
	"value":         func(t api.TagDescription) []string { return []string{t.Value} },
	"resource-id":   func(t api.TagDescription) []string { return []string{t.ResourceId} },
	"resource-type": func(t api.TagDescription) []string { return []string{t.ResourceType} },
}

// tagOrder is by kind, resource and key: keys hold no 0, and ids are of one length
// or apart in it.
func tagOrder(t api.TagDescription) string {
	kind := slices.IndexFunc(taggedKinds, func(k taggedKind) bool { return strings.HasPrefix(t.ResourceId, k.prefix) })
	return strings.Join([]string{fmt.Sprintf("%02d", kind), t.ResourceId, t.Key}, "\x00")
}

// describeTags lists one line per tag, by kind, resource and key.
func (s *Service) describeTags(_ context.Context, caller Caller, req *api.DescribeTagsRequest) (*api.DescribeTagsResult, int64, error) {
	match, err := matchFilters(req.Filters, tagFilters, func(t api.TagDescription) []api.Tag {
		return []api.Tag{{Key: t.Key, Value: t.Value}}
	})
	if err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	var out []api.TagDescription
	for _, k := range taggedKinds {
		for _, r := range k.list(v.r, caller) {
			for _, t := range r.tags {
				d := api.TagDescription{Key: t.Key, Value: t.Value, ResourceId: r.id, ResourceType: r.resourceType}
				if match(d) {
					out = append(out, d)
				}
			}
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, tagOrder)
	return &api.DescribeTagsResult{Tags: out, NextToken: next}, v.revision(), err
}
