package query

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSignature holds a signature against one that botocore 1.43 has made of
// the same request.
func TestSignature(t *testing.T) {
	c := &Client{URL: "http://127.0.0.1:8773", Region: "local-1", ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	r, err := c.Request(context.Background(), "DescribeVpcs", Params{"VpcId.1": "vpc-00000001"}, time.Date(2026, 11, 22, 12, 34, 56, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	const want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/local-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=e81205d0a98217e6a8fa524318be24a0e0a94259ee2477b55a3ea7701465dbe0"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestAnswers: a success is decoded, and each form of an error keeps its code.
func TestAnswers(t *testing.T) {
	status, text := 0, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, text)
	}))
	defer srv.Close()
	c := &Client{URL: srv.URL}
	for _, row := range []struct {
		status        int
		text          string
		code, message string
	}{
		{400, "<Response><Errors><Error><Code>A.B</Code><Message>m</Message></Error></Errors><RequestID>1</RequestID></Response>", "A.B", "m"},
		{403, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>C</Code><Message>n</Message></Error></ErrorResponse>`, "C", "n"},
		{502, "bad gateway", "", "bad gateway"},
	} {
		status, text = row.status, row.text
		var f *Fault
		if err := c.Call(context.Background(), "X", nil, nil); !errors.As(err, &f) || *f != (Fault{row.status, row.code, row.message}) {
			t.Errorf("%s: %v", row.text, err)
		}
	}
	status, text = 200, `<R xmlns="urn:x"><vpcSet><item><vpcId>a</vpcId></item><item><vpcId>b</vpcId></item></vpcSet></R>`
	var got struct {
		IDs []string `xml:"vpcSet>item>vpcId"`
	}
	if err := c.Call(context.Background(), "X", nil, &got); err != nil || strings.Join(got.IDs, " ") != "a b" {
		t.Errorf("%v %v", got, err)
	}
}
