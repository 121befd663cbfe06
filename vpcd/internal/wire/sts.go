package wire

import (
	"encoding/xml"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const (
	stsVersion   = "2011-06-15"
	stsNamespace = "https://sts.amazonaws.com/doc/" + stsVersion + "/"
)

// stsIdentity is STS's answer to GetCallerIdentity. Clients ask it at their
// start for the account, and read that also out of the ARN.
type stsIdentity struct {
	XMLName   xml.Name `xml:"GetCallerIdentityResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Arn       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

// stsError is the form of STS's errors, which is not that of EC2's.
type stsError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// answerSTS answers the one action of STS that is served: who is calling.
func answerSTS(action, version, id string, sent signedRequest) ([]byte, error) {
	if action != "GetCallerIdentity" || version != stsVersion {
		return nil, api.Errorf("InvalidAction", "", "of STS only GetCallerIdentity of version %s is served, not %s of %s",
			stsVersion, api.Printable(action), api.Printable(version))
	}
	for name := range sent.form {
		if name != "Action" && name != "Version" {
			return nil, api.Errorf("UnknownParameter", "", "the parameter %s is not recognized", api.Printable(name))
		}
	}
	return encodeSTS(stsIdentity{
		Namespace: stsNamespace,
		Arn:       "arn:aws:iam::" + sent.key.Account + ":user/" + sent.key.Name,
		UserID:    sent.key.ID,
		Account:   sent.key.Account,
		RequestID: id,
	})
}

func encodeSTSError(code, message, id string) []byte {
	kind := "Sender"
	if code == "InternalError" {
		kind = "Receiver"
	}
	// An stsError is strings: it always encodes.
	b, _ := encodeSTS(stsError{Namespace: stsNamespace, Type: kind, Code: code, Message: message, RequestID: id})
	return b
}

func encodeSTS(answer any) ([]byte, error) {
	b, err := xml.Marshal(answer)
	return append([]byte(xml.Header), b...), err
}
