#include "thermos/accounts.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>

#include "base/files.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using testing::ElementsAre;

TEST(Accounts, AreTheHosts) {
  for (const std::string name : {"root", "nobody", "daemon"}) {
    const auto user = look_up_user(name);
    ASSERT_TRUE(user) << user.error().message();
    const passwd* account = ::getpwnam(name.c_str());
    ASSERT_NE(account, nullptr);
    EXPECT_EQ(user->uid, account->pw_uid);
    EXPECT_EQ(user->gid, account->pw_gid);
    std::vector<gid_t> groups(64);
    int count = 64;
    ::getgrouplist(name.c_str(), user->gid, groups.data(), &count);
    groups.resize(static_cast<std::size_t>(count));
    EXPECT_EQ(user->groups, groups) << name;
  }
  EXPECT_EQ(look_up_user("dewar-nobody-at-all").error().context, "there is no user 'dewar-nobody-at-all' on this host");
}

TEST(Accounts, InFiles) {
  const TempFolder folder;
  const auto put = [&](const char* name, const std::string& text) { ASSERT_TRUE(replace_file(folder / name, text)); };
  put("passwd",
      "root:x:0:0:root:/root:/bin/bash\nann:x:1\nann:x:-1:1:::\nnot a line\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n");
  EXPECT_FALSE(user_in_files(folder.path(), "ann"));  // without the groups not all is known
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "member" + std::to_string(i) + ",";
  put("group",
      "root:x:0:\n# audio:x:29:ann\nvideo:x:44:bob,ann\nnot a line\nann:x:1001:ann\nrender:x:105:annie\nmany:x:200:" +
          many + "ann\nlast:x:300:ann");
  const auto ann = user_in_files(folder.path(), "ann");
  ASSERT_TRUE(ann);
  EXPECT_EQ(ann->uid, 1000u);
  EXPECT_EQ(ann->gid, 1001u);
  EXPECT_THAT(ann->groups, ElementsAre(1001, 44, 200, 300));
  EXPECT_THAT(user_in_files(folder.path(), "root")->groups, ElementsAre(0));
  EXPECT_FALSE(user_in_files(folder.path(), "bob"));
}

}  // namespace
}  // namespace dewar
