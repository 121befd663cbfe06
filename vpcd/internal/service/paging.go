package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Bounds of MaxResults. Where the model has its own they were checked before.
const (
	minPage = 5
	maxPage = 1000
)

// pageMark tells our tokens from others; its number is the format's version.
const pageMark = "page2:"

// pageOf is what a call says about the part of a list that it asks for.
type pageOf struct {
	caller Caller
	req    any // the whole request: a token is good for the same one only
	max    *int32
	token  string
}

// page sorts items by key, which must be another for each, cuts the part that a
// call asks for, and returns the token of the next part, "" after the last one.
// Without max and token it is all of them. A token names the last item of its
// part: what is deleted between two calls hides nothing of what is still there.
func page[T any](p pageOf, items []T, key func(T) string) ([]T, string, error) {
	if p.max != nil {
		if err := checkPageSize(*p.max); err != nil {
			return nil, "", err
		}
	}
	return pageAsModelled(p, items, key)
}

func checkPageSize(size int32) error {
	if size < minPage || size > maxPage {
		return api.Errorf("InvalidParameterValue", "MaxResults", "value (%d) for parameter MaxResults is invalid: it must be between %d and %d", size, minPage, maxPage)
	}
	return nil
}

// pageAsModelled is page for an action whose model bounds max, and has tested it.
func pageAsModelled[T any](p pageOf, items []T, key func(T) string) ([]T, string, error) {
	last, err := p.last()
	if err != nil {
		return nil, "", err
	}
	items = slices.SortedFunc(slices.Values(items), func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if p.token != "" {
		items = slices.DeleteFunc(items, func(item T) bool { return key(item) <= last })
	}
	if p.max == nil || len(items) <= int(*p.max) {
		return items, "", nil
	}
	size := int(*p.max)
	return items[:size], p.next(key(items[size-1])), nil
}

// next is the token for what comes after the item with this key.
func (p pageOf) next(key string) string {
	return base64.RawURLEncoding.EncodeToString(slices.Concat([]byte(pageMark), p.digest(), []byte(key)))
}

// last is the key in the call's token, "" without one.
func (p pageOf) last() (string, error) {
	if p.token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.token)
	key, ours := bytes.CutPrefix(raw, append([]byte(pageMark), p.digest()...))
	if err != nil || !ours || len(key) == 0 {
		return "", p.notOurs()
	}
	return string(key), nil
}

func (p pageOf) notOurs() error {
	return api.Errorf("InvalidNextToken", "NextToken",
		"the token %s is not one that this action returned for this request; start again without it", quote(p.token))
}

// digest is of the action, the account and what is asked for. Each page may be
// of another size.
func (p pageOf) digest() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%T %s %s", p.req, p.caller.Account, requestDigest(p.req)))
	return sum[:16]
}

// checkPaging refuses MaxResults beside explicit ids: the ids bound the answer.
func checkPaging(ids []string, field string, max *int32) error {
	if len(ids) > 0 && max != nil {
		return api.Errorf("InvalidParameterCombination", "MaxResults", "the parameter %s cannot be used with the parameter MaxResults; leave one out", field)
	}
	return nil
}
