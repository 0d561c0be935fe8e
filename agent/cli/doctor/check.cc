#include "agent/cli/doctor/check.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/files.h"
#include "base/pipe.h"
#include "base/unique_fd.h"

namespace dewar {

std::vector<Checked> examine(const DoctorHost& host) {
  std::vector<Checked> lines;
  for (const auto& checks : {host_checks(), cgroup_checks(), sandbox_checks(), resource_checks()})
    for (const Check& check : checks) lines.push_back({check.section, check.name, check.look(host)});
  return lines;
}

Result<void> try_in_child(const std::function<Result<void>()>& attempt) {
  Pipe told_by_child = DEWAR_TRY(make_pipe());
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fork");
  if (child == 0) {
    const auto tried = attempt();
    const std::int32_t number = tried ? 0 : tried.error().code.value();
    const std::string words = tried ? "" : tried.error().context;
    (void)write_all(told_by_child.writer.get(), std::to_string(number) + " " + words, "a pipe");
    ::_exit(tried ? 0 : 1);
  }
  told_by_child.writer.reset();
  const auto told = read_all(told_by_child.reader.get(), "a pipe");
  int status = 0;
  retry_eintr([&] { return ::waitpid(child, &status, 0); });
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::size_t space = told ? told->find(' ') : std::string::npos;
  if (space == std::string::npos) return fail("the trial was killed by signal " + std::to_string(WTERMSIG(status)));
  return fail({std::stoi(told->substr(0, space)), std::generic_category()}, told->substr(space + 1));
}

Finding by_trial(const DoctorHost& host, const Result<void>& trial, std::string found, Health worst, std::string mend) {
  if (trial) return ok(std::move(found));
  const int number = trial.error().code.value();
  if (!host.root && (number == EPERM || number == EACCES))
    return degraded("not tried: only root may", "run dewar doctor as root");
  return {worst, trial.error().message(), std::move(mend)};
}

}  // namespace dewar
