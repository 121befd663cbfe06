package service

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// Access keys look like AWS's, because clients check what they are given: an id
// is AKIA and 16 of A-Z2-7, a secret has 40 characters.
const (
	keyIDPrefix = "AKIA"
	keyIDBytes  = 10
	secretBytes = 30
)

// environmentKey is the name of the key that GetEnvironment hands out.
const environmentKey = "env"

// AccessKey is a key with its secret in the clear: for the check of a
// signature, and for nothing that is stored or logged.
type AccessKey struct{ ID, Secret, Account, Name string }

// AccessKey returns the key with this id, whosever it is. It reads memory only
// and is meant to be called for each request. The error is an *api.Error:
// AuthFailure for an unknown key and for one whose secret cannot be opened,
// UnsupportedOperation where there are no keys at all.
func (s *Service) AccessKey(_ context.Context, id string) (AccessKey, error) {
	if err := s.keysServed(); err != nil {
		return AccessKey{}, err
	}
	rec, ok := store.Get[*record.AccessKey](s.store.Snapshot(), record.AccessKeys+id)
	if !ok || rec.AccessKeyId != id {
		return AccessKey{}, api.Errorf("AuthFailure", "", "the access key %s is not known here; see `vpc access-key list`", quote(id))
	}
	secret, err := s.openKey(rec)
	if err != nil {
		return AccessKey{}, api.Errorf("AuthFailure", "", "%v", err)
	}
	return AccessKey{ID: id, Secret: secret, Account: rec.OwnerId, Name: rec.Name}, nil
}

func (s *Service) keysServed() error {
	if s.seal == nil {
		return api.Errorf("UnsupportedOperation", "", "there are no access keys here: this vpcd runs without a seal key")
	}
	return nil
}

// sealContext binds a secret to its id and its owner: in the record of another
// key or of another account it does not open.
func sealContext(rec *record.AccessKey) []byte {
	return []byte("access-key/" + rec.OwnerId + "/" + rec.AccessKeyId)
}

// openKey says on failure what to do, as nobody else will know.
func (s *Service) openKey(rec *record.AccessKey) (secret string, err error) {
	plain, err := s.seal.Open(rec.Sealed, sealContext(rec))
	if err != nil {
		return "", fmt.Errorf("the secret of the access key %s cannot be read: %w; put the seal.key back that it was made with, or delete the key and make a new one", rec.AccessKeyId, err)
	}
	return string(plain), nil
}

// LostKeys is how many access keys, of whatever account, have a secret that
// cannot be opened: the seal key is not the one they were made with.
func (s *Service) LostKeys() (lost int) {
	if s.seal == nil {
		return 0
	}
	for _, rec := range store.List[*record.AccessKey](s.store.Snapshot(), record.AccessKeys) {
		if _, err := s.openKey(rec); err != nil {
			lost++
		}
	}
	return lost
}

// createAccessKey is the only action beside GetEnvironment that shows a secret.
// Codes: InvalidParameterValue and InvalidAccessKey.Duplicate for the name,
// AccessKeyLimitExceeded, UnsupportedOperation without a seal key.
func (s *Service) createAccessKey(ctx context.Context, caller Caller, req *api.CreateAccessKeyRequest) (*api.CreateAccessKeyResult, int64, error) {
	if err := s.keysServed(); err != nil {
		return nil, 0, err
	}
	if reason := badKeyName(req.Name); reason != "" {
		return nil, 0, api.Errorf("InvalidParameterValue", "Name", "the name %s %s", quote(req.Name), reason)
	}
	var made *record.AccessKey
	var secret string
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) (err error) {
		if old := keyNamed(c.tx, caller, req.Name); old != nil {
			return api.Errorf("InvalidAccessKey.Duplicate", "Name", "the access key %s is already named %s; take another name, or delete that one first", old.AccessKeyId, quote(req.Name))
		}
		made, secret, err = c.newAccessKey(req.Name)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	shape := describedKey(made)
	shape.SecretAccessKey = secret
	return &api.CreateAccessKeyResult{AccessKey: &shape}, revision, nil
}

// badKeyName says what is wrong with a name, or "". One that reads as an id
// could not be told from it where either is taken.
func badKeyName(name string) string {
	if strings.HasPrefix(name, keyIDPrefix) {
		return "looks like the id of a key; begin it with something else than " + keyIDPrefix
	}
	return badText(name, maxTagValue)
}

// newAccessKey needs its caller to have looked for the name under guard.
func (c *change) newAccessKey(name string) (rec *record.AccessKey, secret string, err error) {
	if err := c.checkLimit(limitAccessKeys, len(accessKeys(c.tx, c.caller))+1); err != nil {
		return nil, "", err
	}
	rec = &record.AccessKey{
		AccessKeyId: keyIDPrefix + base32.StdEncoding.EncodeToString(randomBytes(keyIDBytes)),
		OwnerId:     c.caller.Account,
		Name:        name,
		CreateTime:  c.now().UTC().Format(time.RFC3339),
	}
	secret = base64.StdEncoding.EncodeToString(randomBytes(secretBytes))
	if rec.Sealed, err = c.seal.Seal([]byte(secret), sealContext(rec)); err != nil {
		return nil, "", fmt.Errorf("sealing an access key: %w", err)
	}
	c.tx.Put(record.AccessKeys+rec.AccessKeyId, rec)
	return rec, secret, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	// rand.Read never fails: it ends the process instead.
	_, _ = rand.Read(b)
	return b
}

// accessKeys are the caller's keys in order of their ids.
func accessKeys(r store.Reader, c Caller) []*record.AccessKey {
	var out []*record.AccessKey
	for _, rec := range store.List[*record.AccessKey](r, record.AccessKeys) {
		if rec.OwnerId == c.Account {
			out = append(out, rec)
		}
	}
	return out
}

// keyNamed is nil where the caller has no key of that name.
func keyNamed(r store.Reader, c Caller, name string) *record.AccessKey {
	for _, rec := range accessKeys(r, c) {
		if rec.Name == name {
			return rec
		}
	}
	return nil
}

// getAccessKey is the caller's key with this id, or InvalidAccessKeyId.NotFound.
func getAccessKey(r store.Reader, c Caller, id, field string) (*record.AccessKey, error) {
	rec, ok := store.Get[*record.AccessKey](r, record.AccessKeys+id)
	if !ok || rec.OwnerId != c.Account {
		return nil, api.Errorf("InvalidAccessKeyId.NotFound", field, "the access key %s does not exist; list those that do with DescribeAccessKeys", quote(id))
	}
	return rec, nil
}

// describedKey is a key without its secret. A time that does not parse is left
// out: the key is still a key.
func describedKey(rec *record.AccessKey) api.AccessKey {
	shape := api.AccessKey{AccessKeyId: rec.AccessKeyId, AccountId: rec.OwnerId, Name: rec.Name}
	if at, err := time.Parse(time.RFC3339, rec.CreateTime); err == nil {
		shape.CreateTime = &at
	}
	return shape
}

// describeAccessKeys lists the caller's keys, or those with the given ids, in
// order of their ids and without secrets; it lists also what cannot be opened.
func (s *Service) describeAccessKeys(_ context.Context, caller Caller, req *api.DescribeAccessKeysRequest) (*api.DescribeAccessKeysResult, int64, error) {
	if err := s.keysServed(); err != nil {
		return nil, 0, err
	}
	if err := checkPaging(req.AccessKeyIds, "AccessKeyIds", req.MaxResults); err != nil {
		return nil, 0, err
	}
	v := s.view(caller)
	for i, id := range req.AccessKeyIds {
		if _, err := getAccessKey(v.r, caller, id, "AccessKeyIds."+strconv.Itoa(i)); err != nil {
			return nil, 0, err
		}
	}
	var out []api.AccessKey
	for _, rec := range accessKeys(v.r, caller) {
		if len(req.AccessKeyIds) == 0 || slices.Contains(req.AccessKeyIds, rec.AccessKeyId) {
			shape := describedKey(rec)
			if _, err := s.openKey(rec); err != nil {
				shape.Problem = err.Error()
			}
			out = append(out, shape)
		}
	}
	out, next, err := page(pageOf{caller, req, req.MaxResults, req.NextToken}, out, func(k api.AccessKey) string { return k.AccessKeyId })
	return &api.DescribeAccessKeysResult{AccessKeys: out, NextToken: next}, v.revision(), err
}

// deleteAccessKey ends a key: requests signed with it are refused from here on.
func (s *Service) deleteAccessKey(ctx context.Context, caller Caller, req *api.DeleteAccessKeyRequest) (*api.DeleteAccessKeyResult, int64, error) {
	if err := s.keysServed(); err != nil {
		return nil, 0, err
	}
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) error {
		rec, err := getAccessKey(c.tx, caller, req.AccessKeyId, "AccessKeyId")
		if err == nil {
			c.tx.Delete(record.AccessKeys + rec.AccessKeyId)
		}
		return err
	})
	return &api.DeleteAccessKeyResult{}, revision, err
}

// getEnvironment answers what an EC2 client needs to reach this service as the
// caller's account, with a key that the first call makes. Codes:
// UnsupportedOperation where EC2 clients are not served, IncorrectState for a
// key that cannot be opened, AccessKeyLimitExceeded.
func (s *Service) getEnvironment(ctx context.Context, caller Caller, req *api.GetEnvironmentRequest) (*api.GetEnvironmentResult, int64, error) {
	if s.ec2Endpoint == "" {
		return nil, 0, &api.Error{
			Code: "UnsupportedOperation", Message: "EC2 clients are not served: this vpcd runs without --ec2-listen",
			Hint: "start it with --ec2-listen 127.0.0.1:8773",
		}
	}
	if err := s.keysServed(); err != nil {
		return nil, 0, err
	}
	out := api.GetEnvironmentResult{EndpointUrl: s.ec2Endpoint, Region: s.region}
	revision, err := s.mutate(ctx, caller, req.DryRun, func(c *change) (err error) {
		rec := keyNamed(c.tx, caller, environmentKey)
		if rec == nil {
			rec, out.SecretAccessKey, err = c.newAccessKey(environmentKey)
		} else if out.SecretAccessKey, err = s.openKey(rec); err != nil {
			err = &api.Error{Code: "IncorrectState", Message: err.Error(), Hint: "vpc access-key rm " + rec.AccessKeyId}
		}
		if err == nil {
			out.AccessKeyId = rec.AccessKeyId
		}
		return err
	})
	return &out, revision, err
}
