#include "thermos/bridge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// A folder with plugins of these names.
class Conflist : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"bridge", "portmap", "host-local"})
      ASSERT_TRUE(replace_file(folder_ / name, "#!/bin/sh\n", 0755));
  }
  Result<CniNetwork> read(const std::string& text, const Ports& ports = {}) {
    return read_conflist("x.conflist", text, ports, {"/nonexistent", folder_.path()});
  }
  std::string words(const std::string& text) {
    const auto read_back = read(text);
    return read_back ? "accepted" : read_back.error().message();
  }
  TempFolder folder_;
};

TEST_F(Conflist, EachPluginIsToldItsOwnPartAndThePorts) {
  const auto network = read(R"({"cniVersion": "0.4.0", "name": "n", "plugins": [
      {"type": "bridge", "mtu": 1400, "label": "14", "none": null, "nested": [{"a": true}], "ipam": {"type": "host-local"}},
      {"type": "portmap", "capabilities": {"portMappings": true}, "prevResult": {}}]})",
                            {{"http", 31000}, {"alias", 31000}, {"admin", 31001}});
  ASSERT_TRUE(network) << network.error().message();
  EXPECT_EQ(network->name, "n");
  ASSERT_EQ(network->plugins.size(), 2u);
  EXPECT_EQ(network->plugins[0].program, folder_ / "bridge");
  EXPECT_EQ(
      json::parse(network->plugins[0].config),
      json::parse(R"({"cniVersion": "0.4.0", "name": "n", "type": "bridge", "mtu": 1400, "label": "14", "none": null,
                            "nested": [{"a": true}], "ipam": {"type": "host-local"}})"));
  const json mapped = json::parse(network->plugins[1].config);
  EXPECT_FALSE(mapped.contains("prevResult"));
  EXPECT_EQ(mapped["runtimeConfig"]["portMappings"].size(), 4u) << "two ports, TCP and UDP each";
  EXPECT_EQ(mapped["runtimeConfig"]["portMappings"][0],
            json::parse(R"({"hostPort": 31000, "containerPort": 31000, "protocol": "tcp"})"));
}

TEST_F(Conflist, WhatDoesNotFitIsRefusedInWords) {
  EXPECT_THAT(words("{"), HasSubstr("x.conflist:1:2: not JSON"));
  EXPECT_THAT(words("[]"), HasSubstr("x.conflist: must be an object"));
  EXPECT_THAT(words(R"({"name": "n"})"), HasSubstr("'cniVersion'"));
  EXPECT_THAT(words(R"({"cniVersion": "0.1.0", "name": "n"})"), HasSubstr("must be 0.4.0 or 1.0.0, found '0.1.0'"));
  EXPECT_THAT(words(R"({"cniVersion": "1.0.0", "name": "../n"})"), HasSubstr("'name'"));
  EXPECT_THAT(words(R"({"cniVersion": "1.0.0", "name": "n", "plugins": []})"), HasSubstr("at least one"));
  EXPECT_THAT(words(R"({"cniVersion": "1.0.0", "name": "n", "plugins": [1]})"), HasSubstr("must be an object"));
  EXPECT_THAT(words(R"({"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "../../bin/sh"}]})"),
              HasSubstr("'type'"));
  EXPECT_THAT(words(R"({"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "vlan"}]})"),
              HasSubstr("'vlan' is not in /nonexistent or "));
  EXPECT_THAT(
      words(R"({"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "bridge", "ipam": {"type": "dhcp"}}]})"),
      HasSubstr("'dhcp' is not in"));
}

TEST(Resolvers, OfTheHostAreTakenUnlessTheyAreOnItsLoopback) {
  const Resolvers plain = choose_resolvers("search a.b\nnameserver 192.0.2.1\nnameserver 127.0.0.1\n", "");
  EXPECT_EQ(plain.text, "search a.b\nnameserver 192.0.2.1\n");
  EXPECT_EQ(plain.warning, "");
  const Resolvers stub = choose_resolvers("nameserver 127.0.0.53\noptions edns0\n", "nameserver 2001:db8::1\n");
  EXPECT_EQ(stub.text, "nameserver 2001:db8::1\n");
  EXPECT_EQ(stub.warning, "");
  const Resolvers lost = choose_resolvers("nameserver 127.0.0.53\nnameserver ::1\nsearch x", "");
  EXPECT_EQ(lost.text, "search x\n");
  EXPECT_THAT(lost.warning, HasSubstr("names cannot be resolved"));
  EXPECT_THAT(choose_resolvers("", "nameserver\n").warning, HasSubstr("names cannot be resolved"));
}

}  // namespace
}  // namespace dewar
