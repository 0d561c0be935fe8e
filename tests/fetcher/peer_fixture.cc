#include "tests/fetcher/peer_fixture.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/files.h"

namespace dewar {

std::string PeerTest::log() const {
  const auto text = read_file(folder_ / "log");
  return text ? *text : "";
}

void PeerTest::expect_refused(const FetchOutcome& outcome, const std::string& words) const {
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_THAT(outcome.err, testing::HasSubstr(words));
  EXPECT_THAT(rig_.names(), testing::IsEmpty());
}

void PeerTest::make_certificate() const {
  const std::string make = "cd '" + folder_.path() +
                           "' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch "
                           "-subj /CN=peer -addext subjectAltName=IP:127.0.0.1 -days 2 -keyout key -out cert "
                           "2>/dev/null";
  ASSERT_EQ(std::system(make.c_str()), 0) << "needs openssl (packaging/packages)";
}

void PeerTest::trust_certificate() {
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);  // the transfer, nobody, reads it
  rig_.configure("ca_bundle " + (folder_ / "cert"));
}

void PeerTest::write_credential(const std::string& name, const std::string& text) const {
  ASSERT_TRUE(make_dirs(rig_.path("credentials"), 0700));
  ASSERT_TRUE(replace_file(rig_.path("credentials/" + name), text, 0600));
}

}  // namespace dewar
