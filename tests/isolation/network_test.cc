// Networks by real CNI plugins, and that nothing of them is left after any kind of death. Every test has a network
// namespace of its own for its host, so that bridges and rules are compared whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "isolation/net/attachment.h"
#include "isolation/net/netns.h"
#include "tests/isolation/kernel_fixture.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kPlugins[] = "/usr/lib/cni";

/// What a command of ours prints.
std::string output_of(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) return {};
  auto text = read_all(::fileno(pipe), command);
  ::pclose(pipe);
  return text ? std::move(text).take() : "";
}

class BridgeTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (!exists(std::string(kPlugins) + "/bridge") || output_of("iptables-save").find("not found") != std::string::npos)
      GTEST_SKIP() << "needs the packages containernetworking-plugins and iptables";
    home_ = std::move(open_file("/proc/self/ns/net", O_RDONLY)).take();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    output_of("ip link set lo up");
    spec().id = tag();  // records are the whole host's
    spec().hostname = "flask";
    spec().sandbox.network = Network::kBridge;
    spec().network.name = "test";
    spec().network.hosts_file = folder("hosts");
    spec().sandbox.binds = {{folder("hosts"), "/etc/hosts"}};
    ASSERT_TRUE(replace_file(folder("hosts"), ""));
    add("bridge", R"("bridge":"dwt0","isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","dataDir":")" +
                      folder("ipam") + R"(","ranges":[[{"subnet":"10.83.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]})");
    add("portmap", R"("capabilities":{"portMappings":true},"runtimeConfig":{"portMappings":[)"
                   R"({"hostPort":8080,"containerPort":8080,"protocol":"tcp"},)"
                   R"({"hostPort":8080,"containerPort":8080,"protocol":"udp"}]})");
    add("firewall", R"("ingressPolicy":"open")");
    {
      const Container first = make();  // the bridge and the shared chains are made once and stay
      EXPECT_TRUE(Container::sweep(spec(), 30000));
    }
    before_ = picture();
  }

  void TearDown() override {
    if (home_) {
      EXPECT_TRUE(Container::sweep(spec(), 30000)) << "while its rules are in sight";
      EXPECT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
      home_.reset();
    }
    ContainerTest::TearDown();
  }

  void add(const std::string& type, const std::string& rest) {
    add_program(std::string(kPlugins) + "/" + type, type, rest);
  }
  void add_program(const std::string& program, const std::string& type, const std::string& rest) {
    spec().network.plugins.push_back(
        {program, R"({"cniVersion":"1.0.0","name":"test","type":")" + type + "\"," + rest + "}"});
  }

  /// A plugin that does what `script` says; `$plugins` is where the real ones are.
  void write_plugin(const std::string& name, const std::string& script) {
    ASSERT_TRUE(replace_file(
        folder(name), "#!/bin/bash\nplugins=" + std::string(kPlugins) + "\ncd " + folder("") + "\n" + script, 0755));
  }

  /// Everything that a container could leave behind: links, rules, addresses, records, namespaces.
  std::string picture() {
    std::string text = output_of("ip -o link | cut -d: -f2 | cut -d@ -f1");
    text += output_of("iptables-save | grep -v '^#' | sed 's/\\[[0-9:]*\\]//'");
    text += output_of("cd " + folder("ipam/test") + " && ls | grep -v -e last_reserved -e lock");
    text += exists("/var/lib/dewar/net/" + spec().id) ? "a record\n" : "";
    text += is_pinned("/run/dewar/net/" + spec().id) || exists("/run/dewar/net/" + spec().id) ? "a namespace\n" : "";
    return text;
  }

  void sweep_and_compare() {
    const auto swept = Container::sweep(spec(), 30000);
    EXPECT_TRUE(swept) << swept.error().message();
    EXPECT_EQ(picture(), before_);
  }

  const std::string& before() const { return before_; }

 private:
  UniqueFd home_;
  std::string before_;
};

TEST_F(BridgeTest, TheTaskHasAnAddressANameAndAWayOut) {
  const Container container = make();
  EXPECT_EQ(container.address(), "10.83.0.3") << "the first one had .2";
  EXPECT_NE(picture(), before());
  EXPECT_THAT(run(container, "cat /etc/hosts").output, HasSubstr("10.83.0.3 flask\n"));
  EXPECT_THAT(run(container, "ip -4 -o addr show eth0; ip route").output,
              AllOf(HasSubstr("10.83.0.3/24"), HasSubstr("default via 10.83.0.1")));
  sweep_and_compare();
}

// covers: network bridge
TEST_F(BridgeTest, ItsBytesAreCountedAndItsPortsAreReached) {
  const Container container = make();
  const pid_t server = fork_child([&] {
    return run(container,
               "exec timeout 20 python3 -c '\n"
               "import socket\n"
               "s = socket.create_server((\"0.0.0.0\", 8080)); open(\"ready\", \"w\")\n"
               "c, peer = s.accept(); c.sendall(b\"x\" * 100000); c.close()'")
        .code;
  });
  ASSERT_TRUE(eventually([&] { return exists(folder("sandbox/ready")); }));
  // From the host's own address, as a client elsewhere would: through portmap's rule.
  EXPECT_EQ(output_of("timeout 20 bash -c 'cat < /dev/tcp/10.83.0.1/8080 | wc -c'"), "100000\n");
  EXPECT_EQ(wait_for(server), 0);
  const Usage used = Sampler(container.sampled()).look(Sampler::Depth::kAll);
  EXPECT_GT(used.net_tx_bytes, 100000);
  EXPECT_GT(used.net_rx_bytes, 0);
  ASSERT_TRUE(used.net_rx_bytes);
  EXPECT_LT(used.net_rx_bytes, 100000);
  sweep_and_compare();
}

TEST_F(BridgeTest, NothingIsLeftWhenPidOneWasKilled) {
  {
    const Container container = make();
    ASSERT_TRUE(send_signal(container.init(), SIGKILL));
    ASSERT_TRUE(eventually([&] { return has_ended(container.init()); }));
  }
  sweep_and_compare();
}

TEST_F(BridgeTest, ADoubleSweepAndASweepOfNothingAreFine) {
  sweep_and_compare();
  { const Container container = make(); }
  sweep_and_compare();
  sweep_and_compare();
}

TEST_F(BridgeTest, AContainerOfADeadMakerIsAdoptedWithItsNetwork) {
  const pid_t maker = fork_child([&] { return Container::create(spec()) ? 0 : 1; });
  ASSERT_EQ(wait_for(maker), 0);
  {
    const auto adopted = Container::adopt(spec());
    ASSERT_TRUE(adopted) << adopted.error().message();
    EXPECT_THAT(adopted->address(), HasSubstr("10.83.0."));
  }
  sweep_and_compare();
}

/// The maker is killed while plugin `at` of the chain runs.
class KilledMakerTest : public BridgeTest, public ::testing::WithParamInterface<int> {};

TEST_P(KilledMakerTest, NothingIsLeft) {
  // A plugin in the chain that waits for ever, once it is asked to add: behind it nothing has happened yet.
  write_plugin("stall", R"(
if [[ $CNI_COMMAND = ADD ]]; then : > stalled; read < never; fi
exit 0)");
  auto& plugins = spec().network.plugins;
  plugins.insert(plugins.begin() + GetParam(),
                 {folder("stall"), "{\"cniVersion\":\"1.0.0\",\"name\":\"test\",\"type\":\"stall\"}"});
  ASSERT_EQ(::mkfifo(folder("never").c_str(), 0600), 0);
  const pid_t maker = fork_child([&] { return Container::create(spec()) ? 0 : 1; });
  ASSERT_TRUE(eventually([&] { return exists(folder("stalled")); }));
  ASSERT_EQ(::kill(maker, SIGKILL), 0);
  EXPECT_EQ(wait_for(maker), -SIGKILL);
  if (!exists("/var/lib/dewar/net/" + tag())) ADD_FAILURE() << "nothing was written down";
  EXPECT_EQ(Container::adopt(spec()).error().code, std::errc::operation_canceled) << "it is no whole container";
  ASSERT_TRUE(open_file(folder("never"), O_WRONLY));  // end-of-file: the orphan ends
  sweep_and_compare();
}

INSTANTIATE_TEST_SUITE_P(AtEachPlugin, KilledMakerTest, ::testing::Values(0, 1, 2, 3));

TEST_F(BridgeTest, ASweepWaitsForAPluginWhoseRunnerWasKilled) {
  write_plugin("slow", R"(
if [[ $CNI_COMMAND = ADD ]]; then : > started; read < go; fi
exec $plugins/portmap)");
  ASSERT_EQ(::mkfifo(folder("go").c_str(), 0600), 0);
  spec().network.plugins[1].program = folder("slow");
  const pid_t maker = fork_child([&] { return Container::create(spec()) ? 0 : 1; });
  ASSERT_TRUE(eventually([&] { return exists(folder("started")); }));
  ASSERT_EQ(::kill(maker, SIGKILL), 0);
  EXPECT_EQ(wait_for(maker), -SIGKILL);
  const pid_t sweeper = fork_child([&] { return Container::sweep(spec(), 30000) ? 0 : 1; });
  // It waits for the lock that the orphan holds; only then the orphan writes its rules.
  const auto waits = [&] {
    const auto wchan = read_file("/proc/" + std::to_string(sweeper) + "/wchan");
    return wchan && wchan->find("poll") != std::string::npos;
  };
  EXPECT_TRUE(eventually(waits));
  ASSERT_TRUE(write_all(open_file(folder("go"), O_WRONLY)->get(), "\n", "go"));
  EXPECT_EQ(wait_for(sweeper), 0);
  EXPECT_EQ(picture(), before());
}

TEST_F(BridgeTest, AnErrorOfAPluginIsToldInItsWordsAndUndone) {
  write_plugin("broken", R"([[ $CNI_COMMAND = DEL ]] && exit 0
echo '{"code": 11, "msg": "no \"carrier\" here", "details": ""}'; exit 1)");
  add_program(folder("broken"), "broken", R"("x":1)");
  const auto refused = Container::create(spec());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), AllOf(HasSubstr("step network"), HasSubstr("no \"carrier\" here")));
  EXPECT_EQ(picture(), before());
}

TEST_F(BridgeTest, WhatAPluginCannotUndoIsTriedAgainByTheNextContainer) {
  write_plugin("stubborn", R"(cat > /dev/null
if [[ $CNI_COMMAND = DEL && ! -e repaired ]]; then echo '{"msg":"not now"}'; exit 1; fi
[[ $CNI_COMMAND = ADD ]] && echo '{"cniVersion":"1.0.0"}'
exit 0)");
  spec().network.plugins.insert(spec().network.plugins.begin(), {folder("stubborn"), "{\"type\":\"stubborn\"}"});
  spec().network.plugins.resize(1);
  { const Container container = make(); }
  EXPECT_THAT(Container::sweep(spec(), 30000).error().message(), HasSubstr("not now"));
  EXPECT_FALSE(is_pinned("/run/dewar/net/" + tag())) << "the namespace goes in any case";
  EXPECT_TRUE(exists("/var/lib/dewar/net/" + tag()));
  ASSERT_TRUE(replace_file(folder("repaired"), ""));
  const std::string first = spec().id;
  spec().id += "-next";
  { const Container container = make(); }
  EXPECT_FALSE(exists("/var/lib/dewar/net/" + first));
  EXPECT_TRUE(Container::sweep(spec(), 30000));
  spec().id = first;
}

// covers: network bridge
TEST_F(BridgeTest, AfterARebootTheAddressesOfLostContainersAreReleased) {
  { const Container container = make(); }
  EXPECT_THAT(picture(), HasSubstr("10.83.0.3\n"));
  // What a reboot leaves of a container: its files. Its processes, cgroups, mounts, links and rules are gone.
  auto cgroup = Cgroup::find(spec().cgroups, spec().id);
  ASSERT_TRUE(cgroup && cgroup->kill_all(30000));
  ASSERT_TRUE(cgroup->remove());
  ASSERT_TRUE(unpin_netns("/run/dewar/net/" + tag()));
  ASSERT_TRUE(eventually([&] { return picture().find("veth") == std::string::npos; }));
  const std::string lost = spec().id;
  spec().id += "-next";
  { const Container container = make(); }
  EXPECT_THAT(list_dir(folder("ipam/test")).take(), ElementsAre("10.83.0.4", "last_reserved_ip.0", "lock"));
  EXPECT_FALSE(exists("/var/lib/dewar/net/" + lost));
  EXPECT_TRUE(Container::sweep(spec(), 30000));
  spec().id = lost;
}

TEST_F(ContainerTest, NetworkNoneHasNoAddressAndCountsNothing) {
  spec().sandbox.network = Network::kNone;
  const Container container = make();
  EXPECT_EQ(container.address(), "");
  EXPECT_FALSE(Sampler(container.sampled()).look(Sampler::Depth::kAll).net_rx_bytes);
}

}  // namespace
}  // namespace dewar
