#include <signal.h>
#include <sys/stat.h>

#include "base/files.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

using AttemptTest = LaunchTest;

TEST_F(AttemptTest, TellsTheExactExitStatus) {
  make_container();
  const AttemptStatus status = run("echo out; echo err >&2; exit 42");
  EXPECT_EQ(status.stage, AttemptStage::kEnded) << explain_step(status.step, status.error, status.detail);
  EXPECT_EQ(status.return_code, 42);
  EXPECT_EQ(out(), "out\n");
  EXPECT_EQ(err(), "err\n");
}

}  // namespace
}  // namespace dewar::testing
