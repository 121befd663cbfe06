package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) tagCommand() *cobra.Command {
	const refs = "OBJECT is an id, or NOUN:NAME such as subnet:web."
	add := verb("add OBJECT KEY=VALUE…", "Set tags", "vpc tag add subnet:web team=blue\nvpc tag add vpc:prod env=production", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			tags, err := parseTags(a[1:])
			if err != nil {
				return err
			}
			o, err := s.tagged(a[0])
			if err != nil {
				return err
			}
			res, err := change[api.CreateTagsResult](s, "CreateTags", &api.CreateTagsRequest{Resources: []string{o.id}, Tags: tags})
			if err != nil {
				return doing("tag "+o.String(), err)
			}
			return s.done(res, o, "tagged")
		})
	rm := verb("rm OBJECT KEY[=VALUE]…", "Remove tags", "vpc tag rm subnet:web team", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			o, err := s.tagged(a[0])
			if err != nil {
				return err
			}
			return doing("untag "+o.String(), s.untag(o, a[1:]))
		})
	list := verb("list [OBJECT]", "List tags", "vpc tag list\nvpc tag list subnet:web", args(0, 1),
		func(_ *cobra.Command, a []string) error { return s.listTags(a) })
	add.Long, rm.Long, list.Long = "Set tags. "+refs, "Remove tags: KEY whatever its value, KEY=VALUE with that value only, and KEY= with none. "+refs, "List tags. "+refs
	return group("tag", "Tags of any resource", "  vpc tag add subnet:web team=blue", add, list, rm)
}

// tagged resolves the object of a tag command. A bare name would say nothing
// about the kind of object.
func (s *session) tagged(ref string) (object, error) {
	for _, n := range nouns {
		if name, ok := strings.CutPrefix(ref, n.word+":"); ok {
			return s.scoped(n, name)
		}
	}
	for _, n := range nouns {
		if strings.HasPrefix(ref, n.prefix) {
			return s.scoped(n, ref)
		}
	}
	if strings.HasPrefix(ref, rulePrefix) || strings.HasPrefix(ref, "i-") {
		return object{kind: "object", id: ref}, nil
	}
	var words []string
	for _, n := range nouns {
		words = append(words, n.word)
	}
	return object{}, usagef("%q does not say what it is: write an id or NOUN:NAME, where NOUN is %s", ref, strings.Join(words, ", "))
}

// untag removes a tag only if it has the value, where one is given: KEY stands
// for any, KEY= for the empty one.
func (s *session) untag(o object, keys []string) error {
	var tags []api.DeletedTag
	for _, k := range keys {
		key, value, given := strings.Cut(k, "=")
		tag := api.DeletedTag{Key: key}
		if given {
			tag.Value = &value
		}
		tags = append(tags, tag)
	}
	res, err := change[api.DeleteTagsResult](s, "DeleteTags", &api.DeleteTagsRequest{Resources: []string{o.id}, Tags: tags})
	if err != nil {
		return err
	}
	return s.done(res, o, fmt.Sprintf("no longer tagged %s", strings.Join(keys, ", ")))
}

func (s *session) listTags(refs []string) error {
	req := &api.DescribeTagsRequest{}
	if len(refs) == 1 {
		o, err := s.tagged(refs[0])
		if err != nil {
			return err
		}
		req.Filters = []api.Filter{{Name: "resource-id", Values: []string{o.id}}}
	}
	res, err := ask[api.DescribeTagsResult](s, "DescribeTags", req)
	if err != nil {
		return doing("list tags", err)
	}
	t := &table{head: []string{"RESOURCE", "KIND", "KEY", "VALUE"}}
	var ids []string
	for _, d := range res.Tags {
		ids = append(ids, d.ResourceId)
		t.add(d.ResourceId, d.ResourceType, d.Key, d.Value)
	}
	return s.emit(res, ids, func() { s.print(t) })
}
