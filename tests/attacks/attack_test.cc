#include "tests/attacks/attack_test.h"

#include <sys/stat.h>

#include <sstream>

#include "base/files.h"

namespace dewar {

void AttackTest::SetUp() {
  ContainerTest::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  const auto program = read_file(DEWAR_BIN "/attack");
  ASSERT_TRUE(program) << program.error().message();
  ASSERT_TRUE(replace_file(folder("sandbox/attack"), *program, 0755));
}

void AttackTest::tell_to_stop() { ASSERT_TRUE(replace_file(folder("sandbox/stop"), "")); }

std::string breaches(const std::string& output) {
  std::istringstream lines(output);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("breach: ") && found.size() < 2000) found += line + "\n";
  }
  return found;
}

}  // namespace dewar
