package service

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// maxToken is EC2's bound for a client token, in ASCII characters.
const maxToken = 64

// replay looks for an earlier call of the same action with this client token
// and returns the id of what that call made, "" if there was none (or token is
// empty). req is the request: other parameters under the same token are
// IdempotentParameterMismatch. Call remember when the object is made and
// forget when it is deleted.
func (c *change) replay(action, token string, req any) (id string, err error) {
	if token == "" {
		return "", nil
	}
	if err := checkToken(token); err != nil {
		return "", err
	}
	seen, ok := store.Get[*record.Token](c.tx, c.tokenKey(action, token))
	if !ok {
		return "", nil
	}
	if seen.Digest != requestDigest(req) {
		return "", api.Errorf("IdempotentParameterMismatch", "ClientToken",
			"the client token %s was used before, with other parameters, to make %s; use a new token for a new object", quote(token), seen.Id)
	}
	return seen.Id, nil
}

// remember binds the token to the object with this id.
func (c *change) remember(action, token string, req any, id string) {
	if token != "" {
		c.tx.Put(c.tokenKey(action, token), record.Token{Digest: requestDigest(req), Id: id})
	}
}

// forget frees a token whose object is gone. actions are those that may have
// made the object.
func (c *change) forget(token string, actions ...string) {
	if token == "" {
		return
	}
	for _, action := range actions {
		c.tx.Delete(c.tokenKey(action, token))
	}
}

// tokenKey hides the token, which may hold any character, behind its digest.
func (c *change) tokenKey(action, token string) string {
	sum := sha256.Sum256([]byte(token))
	return record.Tokens + c.caller.Account + "/" + action + "/" + hex.EncodeToString(sum[:16])
}

func checkToken(token string) error {
	if len(token) > maxToken {
		return api.Errorf("InvalidParameterValue", "ClientToken", "the client token has %d characters, at most %d are possible", len(token), maxToken)
	}
	for i := range len(token) {
		if token[i] < 0x21 || token[i] > 0x7e {
			return api.Errorf("InvalidParameterValue", "ClientToken", "the client token %s has a character that is not printable ASCII", quote(token))
		}
	}
	return nil
}

// requestDigest identifies the parameters of a request, without those that do
// not change what it asks for.
func requestDigest(req any) string {
	raw, err := json.Marshal(req)
	if err != nil {
		return ""
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) == nil {
		delete(members, "DryRun")
		delete(members, "ClientToken")
		delete(members, "MaxResults")
		delete(members, "NextToken")
		if sorted, err := json.Marshal(members); err == nil {
			raw = sorted
		}
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
