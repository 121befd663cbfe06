package service

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Bounds of MaxResults. Where the model has its own they were checked before.
const (
	minPage = 5
	maxPage = 1000
)

// pageMark tells our tokens from others; its number is the format's version.
const pageMark = "page1:"

// page cuts the part of items that a call asks for, and returns the token of
// the next part, "" after the last one. Without max and token it is all of
// them. A token is a position in the order of items: what is created or
// deleted between two calls may show twice or not at all, as in EC2.
func page[T any](items []T, max *int32, token string) ([]T, string, error) {
	size := len(items)
	if max != nil {
		if *max < minPage || *max > maxPage {
			return nil, "", api.Errorf("InvalidParameterValue", "MaxResults", "value (%d) for parameter MaxResults is invalid: it must be between %d and %d", *max, minPage, maxPage)
		}
		size = int(*max)
	}
	return cut(items, size, token)
}

// pageOf is page for an action whose model bounds max, and has tested it.
func pageOf[T any](items []T, max *int32, token string) ([]T, string, error) {
	if max != nil {
		return cut(items, int(*max), token)
	}
	return cut(items, len(items), token)
}

func cut[T any](items []T, size int, token string) ([]T, string, error) {
	start, err := pageStart(token)
	if err != nil {
		return nil, "", err
	}
	start = min(start, len(items))
	end := min(start+size, len(items))
	if end == len(items) {
		return items[start:end], "", nil
	}
	return items[start:end], base64.RawURLEncoding.EncodeToString([]byte(pageMark + strconv.Itoa(end))), nil
}

func pageStart(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if digits, ok := strings.CutPrefix(string(raw), pageMark); err == nil && ok {
		if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
			return int(n), nil
		}
	}
	return 0, api.Errorf("InvalidNextToken", "NextToken", "the token %s is not one that this action returned; start again without it", quote(token))
}

// checkPaging refuses MaxResults beside explicit ids: the ids bound the answer.
func checkPaging(ids []string, field string, max *int32) error {
	if len(ids) > 0 && max != nil {
		return api.Errorf("InvalidParameterCombination", "MaxResults", "the parameter %s cannot be used with the parameter MaxResults; leave one out", field)
	}
	return nil
}
