package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// keyPrefix is what ids of access keys begin with.
const keyPrefix = "AKIA"

func (s *session) accessKeyCommand() *cobra.Command {
	create := verb("create NAME", "Create an access key", "vpc access-key create ci\nvpc access-key create ci -o json > ci.json", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.createKey(a[0]) })
	create.Long = "Create an access key of the account, for clients that speak EC2's API.\n\n" +
		"Its secret is shown now and never again."
	list := verb("list", "List access keys", "vpc access-key list", args(0, 0),
		func(*cobra.Command, []string) error { return s.listKeys() })
	rm := verb("rm KEY…", "Delete access keys", "vpc access-key rm ci", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.removeKeys(a) })
	return group("access-key", "Access keys of EC2 clients", "  vpc access-key create ci", create, list, rm)
}

func keyObject(k *api.AccessKey) object {
	return object{kind: "access-key", id: k.AccessKeyId, name: k.Name}
}

func (s *session) createKey(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	res, err := change[api.CreateAccessKeyResult](s, "CreateAccessKey", &api.CreateAccessKeyRequest{Name: name})
	if err != nil {
		return doing("create access-key "+name, err)
	}
	key := api.Val(res.AccessKey)
	return s.emit(res, []string{key.AccessKeyId}, func() {
		s.say("%s created; its secret is not shown again", keyObject(&key))
		s.fields("AWS_ACCESS_KEY_ID", key.AccessKeyId, "AWS_SECRET_ACCESS_KEY", key.SecretAccessKey)
	})
}

func (s *session) keys() (*api.DescribeAccessKeysResult, error) {
	return ask[api.DescribeAccessKeysResult](s, "DescribeAccessKeys", &api.DescribeAccessKeysRequest{})
}

func (s *session) listKeys() error {
	res, err := s.keys()
	if err != nil {
		return doing("list access keys", err)
	}
	t := &table{head: []string{"NAME", "ID", "CREATED", "SECRET", "OWNER"}, wide: 4}
	var ids, lost []string
	for _, k := range res.AccessKeys {
		ids = append(ids, k.AccessKeyId)
		secret := "sealed"
		if k.Problem != "" {
			secret = "lost"
			lost = append(lost, k.Problem)
		}
		t.add(k.Name, k.AccessKeyId, timeText(k.CreateTime), secret, k.AccountId)
	}
	return s.emit(res, ids, func() {
		s.print(t)
		for _, problem := range lost {
			s.say("%s", problem)
		}
	})
}

// removeKeys waits for no kernel: keys are not its business.
func (s *session) removeKeys(refs []string) error {
	var all []func() error
	for _, ref := range refs {
		all = append(all, func() error {
			key, err := s.findKey(ref)
			if err != nil {
				return err
			}
			res, err := change[api.DeleteAccessKeyResult](s, "DeleteAccessKey", &api.DeleteAccessKeyRequest{AccessKeyId: key.id})
			if err != nil {
				return doing("delete "+key.String(), err)
			}
			return s.emit(res, []string{key.id}, func() { s.say("%s deleted", key) })
		})
	}
	return s.steps(all...)
}

// findKey takes a name, an id, or the beginning of an id that fits one key.
func (s *session) findKey(ref string) (object, error) {
	res, err := s.keys()
	if err != nil {
		return object{}, doing("find access-key "+ref, err)
	}
	var hits []object
	for i := range res.AccessKeys {
		key := keyObject(&res.AccessKeys[i])
		if key.name == ref || strings.HasPrefix(ref, keyPrefix) && strings.HasPrefix(key.id, ref) {
			hits = append(hits, key)
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return object{}, &failure{exit: api.ExitNotFound, refusal: api.Error{
			Code: "InvalidAccessKeyId.NotFound", Message: "there is no access-key " + ref, Hint: "vpc access-key list"}}
	}
	return object{}, &failure{exit: api.ExitConflict, refusal: api.Error{
		Code: "InvalidAccessKeyId.Ambiguous", Message: fmt.Sprintf("%s could mean %d access keys", ref, len(hits)),
		BlockedBy: blockers(hits), Hint: "one of these ids"}}
}
