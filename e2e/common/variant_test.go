//go:build e2e

package common

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/tests/v3/framework/config"
	"go.etcd.io/etcd/tests/v3/framework/e2e"
	intf "go.etcd.io/etcd/tests/v3/framework/interfaces"
)

// Compiled into etcd's tests/common, this file has every test run on the kind of cluster that an environment
// variable names, where the tests by themselves pick one or two kinds:
//
//	COMMON_VARIANT='name=Three,size=3,peer=manual,client=auto,auth=on,token=jwt,others=minority'
//
// The name is that of the subtests. A test that needs more members than the size says gets them. Others are members
// that run the program etcd-last-release. Each part may be left out. Without the variable the tests run as etcd has
// them.
const variantVariable = "COMMON_VARIANT"

// tokenLifetime is longer than any test, unlike the lifetime that the tests about expiry choose for themselves.
const tokenLifetime = "5m"

const leaderTimeout = 10 * time.Second

type variant struct {
	name   string
	size   int
	peer   config.TLSConfig
	client config.TLSConfig
	token  string
	others e2e.ClusterVersion
	// Every request is one of root's, on a cluster with authentication.
	auth bool
}

// init runs after that of e2e_test.go, as the compiler gets the files in the order of their names.
func init() {
	text, ok := os.LookupEnv(variantVariable)
	if !ok {
		return
	}
	chosen, err := parseVariant(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", variantVariable, err)
		os.Exit(2)
	}
	testRunner = variantRunner{TestRunner: testRunner, variant: chosen}
	clusterTestCases = func() []testCase {
		var clusterConfig config.ClusterConfig
		chosen.apply(&clusterConfig)
		return []testCase{{name: chosen.name, config: clusterConfig}}
	}
}

func parseVariant(text string) (variant, error) {
	v := variant{name: "Variant", size: 1}
	kinds := map[string]config.TLSConfig{"none": config.NoTLS, "manual": config.ManualTLS, "auto": config.AutoTLS}
	for _, part := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		known := true
		switch key {
		case "name":
			v.name = value
		case "size":
			_, err := fmt.Sscan(value, &v.size)
			known = err == nil
		case "peer":
			v.peer, known = kinds[value]
		case "client":
			v.client, known = kinds[value]
		case "others":
			v.others = e2e.ClusterVersion(value + "-last-version")
			known = v.others == e2e.MinorityLastVersion || v.others == e2e.QuorumLastVersion
		case "auth":
			v.auth = value == "on"
		case "token":
			if value == "jwt" {
				v.token = jwtOptions()
			}
		default:
			known = false
		}
		if !known {
			return v, fmt.Errorf("unknown part %q", part)
		}
	}
	return v, nil
}

func jwtOptions() string {
	file := func(name string) string { return filepath.Join(e2e.FixturesDir, name) }
	return fmt.Sprintf("jwt,pub-key=%s,priv-key=%s,sign-method=RS256,ttl=%s",
		file("server.crt"), file("server.key.insecure"), tokenLifetime)
}

func (v variant) apply(c *config.ClusterConfig) {
	c.ClusterSize = max(c.ClusterSize, v.size)
	c.PeerTLS = v.peer
	c.ClientTLS = v.client
	if c.AuthToken == "" {
		c.AuthToken = v.token
	}
	if v.others != e2e.CurrentVersion {
		c.ClusterContext = &e2e.ClusterContext{Version: v.others}
	}
}

type variantRunner struct {
	intf.TestRunner
	variant variant
}

func (r variantRunner) NewCluster(ctx context.Context, tb testing.TB, opts ...config.ClusterOption) intf.Cluster {
	cluster := r.TestRunner.NewCluster(ctx, tb, append(opts, r.variant.apply)...)
	if !r.variant.auth {
		return cluster
	}
	if err := enableAuth(ctx, cluster); err != nil {
		_ = cluster.Close()
		tb.Fatalf("could not switch authentication on: %v", err)
	}
	return rootCluster{cluster}
}

func enableAuth(ctx context.Context, cluster intf.Cluster) error {
	client, err := cluster.Client()
	if err != nil {
		return err
	}
	if err := setupAuth(client, nil, []authUser{rootUser}); err != nil {
		return err
	}
	return awaitAuth(ctx, cluster)
}

// awaitAuth waits until each member has applied that authentication is on, so that none still refuses tokens.
func awaitAuth(ctx context.Context, cluster intf.Cluster) error {
	for _, endpoint := range cluster.Endpoints() {
		for {
			client, err := cluster.Client(WithEndpoints([]string{endpoint}), WithAuth(rootUserName, rootPassword))
			if err == nil {
				if _, err = client.AuthStatus(ctx); err == nil {
					break
				}
			}
			if ctx.Err() != nil {
				return fmt.Errorf("member at %s: %w", endpoint, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// rootCluster hands out clients that are root, unless a test says who they are.
type rootCluster struct {
	intf.Cluster
}

func (c rootCluster) Client(opts ...config.ClientOption) (intf.Client, error) {
	return c.Cluster.Client(append([]config.ClientOption{WithAuth(rootUserName, rootPassword)}, opts...)...)
}

func (c rootCluster) Members() []intf.Member {
	var members []intf.Member
	for index, member := range c.Cluster.Members() {
		members = append(members, rootMember{Member: member, cluster: c, endpoint: c.Endpoints()[index]})
	}
	return members
}

// WaitLeader asks as root, which that of the framework cannot. It returns the place of the member that leads.
func (c rootCluster) WaitLeader(tb testing.TB) int {
	for deadline := time.Now().Add(leaderTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for index, endpoint := range c.Endpoints() {
			client, err := c.Client(WithEndpoints([]string{endpoint}))
			if err != nil {
				continue
			}
			status, err := client.Status(tb.Context())
			if err == nil && status[0].Leader == status[0].Header.MemberId {
				return index
			}
		}
	}
	tb.Fatal("no member leads")
	return -1
}

type rootMember struct {
	intf.Member
	cluster  rootCluster
	endpoint string
}

func (m rootMember) Client() intf.Client {
	client, err := m.cluster.Client(WithEndpoints([]string{m.endpoint}))
	if err != nil {
		panic(err)
	}
	return client
}
