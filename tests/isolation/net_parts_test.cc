// The parts of isolation/net that need no kernel: what they read, what they write, and hostile input.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <cstring>

#include "base/files.h"
#include "isolation/net/attachment.h"
#include "isolation/net/cni.h"
#include "isolation/net/listeners.h"
#include "isolation/net/netns.h"
#include "isolation/net/port_filter.h"
#include "tests/isolation/bpf_machine.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

bpf_sock_addr asking_for(std::uint16_t port) {
  bpf_sock_addr context{};
  context.user_port = htons(port);
  return context;
}

// covers: limit ports
TEST(PortFilter, AllowsTheGivenPortsAndZeroAndNoOther) {
  const auto program = port_filter({80, 31000, 65535});
  ASSERT_TRUE(program);
  int allowed = 0;
  for (int port = 0; port <= 65535; ++port)
    allowed += run_bpf(*program, asking_for(static_cast<std::uint16_t>(port))) == 1;
  EXPECT_EQ(allowed, 4);
  for (const std::uint16_t port : {0, 80, 31000, 65535}) EXPECT_EQ(run_bpf(*program, asking_for(port)), 1u) << port;
}

TEST(PortFilter, WithoutPortsAllowsOnlyZero) {
  const auto program = port_filter({});
  ASSERT_TRUE(program);
  EXPECT_EQ(run_bpf(*program, asking_for(0)), 1u);
  EXPECT_EQ(run_bpf(*program, asking_for(80)), 0u);
}

TEST(NetDev, CountsEth0Only) {
  const auto counters = parse_net_dev(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo\n"
      "    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0\n"
      " eth01:       7       7    7    7    7     7          7         7        7       7    7    7    7\n"
      "  eth0:12345678      20    1    2    3     4          5         6 87654321      30    0    0    0\n");
  ASSERT_TRUE(counters);
  EXPECT_EQ(counters->rx_bytes, 12345678);
  EXPECT_EQ(counters->tx_bytes, 87654321);
}

TEST(NetDev, WhatIsNotThereIsUnknownAndWhatIsCutShortIsZero) {
  for (const char* text : {"", "eth0", "lo: 1 2 3"}) EXPECT_FALSE(parse_net_dev(text)) << text;
  for (const char* text : {"eth0:", "  eth0: x y z\n", "eth0: 99999999999999999999999 1"}) {
    ASSERT_TRUE(parse_net_dev(text)) << text;
    EXPECT_EQ(parse_net_dev(text)->tx_bytes, 0) << text;
  }
}

template <class T>
std::string bytes_of(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string netlink_message(int type, const std::string& body) {
  nlmsghdr head{};
  head.nlmsg_len = static_cast<std::uint32_t>(sizeof head + body.size());
  head.nlmsg_type = static_cast<std::uint16_t>(type);
  head.nlmsg_seq = 1;
  return bytes_of(head) + body + std::string(NLMSG_ALIGN(body.size()) - body.size(), '\0');
}

std::string socket_message(std::uint16_t port, std::uint64_t cgroup) {
  inet_diag_msg message{};
  message.idiag_family = AF_INET;
  message.id.idiag_sport = htons(port);
  message.id.idiag_src[0] = ::inet_addr("10.1.2.3");
  message.idiag_inode = 77;
  const nlattr other{5, INET_DIAG_SHUTDOWN}, id{12, INET_DIAG_CGROUP_ID};
  return netlink_message(SOCK_DIAG_BY_FAMILY,
                         bytes_of(message) + bytes_of(other) + std::string(4, '\0') + bytes_of(id) + bytes_of(cgroup));
}

TEST(Listeners, AreReadFromTheKernelsAnswer) {
  std::vector<Listener> found;
  const auto more = read_listeners(socket_message(8080, 4711) + socket_message(81, 0), Transport::kTcp, found);
  ASSERT_TRUE(more && *more);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(to_string(found[0]), "tcp 10.1.2.3:8080");
  EXPECT_EQ(found[0].cgroup, 4711u);
  EXPECT_EQ(found[0].inode, 77u);
  const auto last = read_listeners(netlink_message(NLMSG_DONE, std::string(4, '\0')), Transport::kTcp, found);
  EXPECT_TRUE(last && !*last);
  const auto error =
      read_listeners(netlink_message(NLMSG_ERROR, bytes_of(std::int32_t{-ENOENT})), Transport::kTcp, found);
  EXPECT_EQ(error.error().code, std::errc::no_such_file_or_directory);
}

TEST(Listeners, AnAnswerCutShortAnywhereOrWithAnyByteChangedIsHarmless) {
  const std::string good = socket_message(8080, 4711) + netlink_message(NLMSG_DONE, std::string(4, '\0'));
  for (std::size_t size = 0; size < good.size(); ++size) {
    std::vector<Listener> found;
    (void)read_listeners(std::string(good, 0, size), Transport::kUdp, found);
    EXPECT_LE(found.size(), 1u);
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int value : {0, 1, 0x7f, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      std::vector<Listener> found;
      (void)read_listeners(bad, Transport::kTcp, found);
      EXPECT_LE(found.size(), 2u);
    }
  }
}

TEST(Attachment, ReadsBackAndRefusesEveryDamage) {
  const Attachment made{
      {"net", {{"/usr/lib/cni/bridge", "{\"a\":1}"}}, "/run/hosts", "careful"}, "/sys/fs/cgroup/x", "{}", true};
  const std::string bytes = encode_attachment(made);
  const auto back = decode_attachment(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(encode_attachment(*back), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_attachment(bytes.substr(0, size))) << size;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(decode_attachment(bad)) << bit;
  }
}

/// A plugin made of one script; what it answers, or why it failed.
Result<std::string> run_script(const std::string& script, const std::string& command,
                               const std::string& previous = "") {
  const TempFolder folder;
  EXPECT_TRUE(replace_file(folder / "plugin", "#!/bin/bash\n" + script, 0755));
  return run_cni_plugin({folder / "plugin", R"({"type":"plugin"})"}, {command, "c1", "/n", -1}, previous);
}

TEST(CniPlugin, HearsItsConfigurationAndThePreviousResult) {
  EXPECT_EQ(*run_script("cat", "ADD", R"({"ips":[]})"), R"({"type":"plugin","prevResult":{"ips":[]}})");
  EXPECT_EQ(*run_script("cat", "ADD"), R"({"type":"plugin"})");
  const auto environment = run_script(R"(echo "{$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME}")", "ADD");
  EXPECT_EQ(*environment, "{ADD c1 /n eth0}");
}

TEST(CniPlugin, ThatFailsIsToldInItsOwnWords) {
  const auto words = [](const std::string& script) { return run_script(script, "ADD").error().message(); };
  EXPECT_THAT(words(R"(echo '{"code":7,"msg":"no \"room\""}'; exit 1)"), HasSubstr("ADD: no \"room\""));
  EXPECT_THAT(words("exit 3"), HasSubstr("it said nothing"));
  EXPECT_THAT(words("echo gibberish; exit 1"), HasSubstr("gibberish"));
  EXPECT_THAT(words("echo '{\"msg\":\"'; exit 1"), HasSubstr("plugin ADD: "));
  EXPECT_THAT(words("echo hello"), HasSubstr("no JSON object"));
  EXPECT_THAT(words("kill -9 $$"), HasSubstr("killed by signal 9"));
  EXPECT_THAT(words("head -c 1000000 /dev/zero"), HasSubstr("longer than 256 KB"));
  EXPECT_THAT(run_cni_plugin({"/nonexistent/plugin", "{}"}, {"ADD", "c", "", -1}, "").error().message(),
              HasSubstr("/nonexistent/plugin"));
}

TEST(CniPlugin, MayAnswerNothingToDelete) { EXPECT_EQ(*run_script("exit 0", "DEL"), ""); }

}  // namespace
}  // namespace dewar
