// dewar-launch: follows the recipe on descriptor 3 (isolation/launch_info.h). Exit status: 0 if the answer tells the
// story, 1 if it could not be told, 2 if there was no whole recipe and so nothing was done.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <memory>

#include "base/files.h"
#include "isolation/launch/container.h"
#include "isolation/launch/drain.h"
#include "isolation/launch/own_program.h"
#include "isolation/launch/stay.h"
#include "isolation/launch_info.h"

namespace dewar {
namespace {

constexpr int kRecipeFd = 3, kSecondFd = 4;  // the second: where a container's report goes, or the container's pidfd;
                                             // then the ends of pipes (isolation/launch_info.h)

/// The last of the descriptors that were given to us with this recipe.
int last_descriptor(const Recipe& recipe) {
  if (const auto* attempt = std::get_if<AttemptRecipe>(&recipe)) return attempt->has_pipes ? kWriteEnds[1] : kSecondFd;
  const auto* drain = std::get_if<DrainRecipe>(&recipe);
  return drain != nullptr && drain->has_pipes ? kReadEnds[1] : kSecondFd;
}

int follow_recipe(void* heap) {
  ::prctl(PR_SET_NAME, "dewar-launch", 0, 0, 0);  // executed by descriptor, it would have that for a name
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // children inherit it: nobody looks into them before they are confined
  ::close_range(kWriteEnds[1] + 1, ~0u, 0);
  for (int fd = 0; fd <= 2; ++fd) {  // what we open must never be taken for a task's stdin, stdout or stderr
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) return 2;
  }
  UniqueFd pipe(kRecipeFd), second(kSecondFd);
  const auto bytes = read_all(pipe.get(), "recipe");
  if (!bytes) return 2;
  auto recipe = decode_recipe(*bytes);
  if (!recipe) return 2;
  const int last = last_descriptor(*recipe);
  ::close_range(last + 1, kWriteEnds[1], 0);
  ::close_range(kRecipeFd, last, CLOSE_RANGE_CLOEXEC);
  if (const auto* container = std::get_if<ContainerRecipe>(&*recipe)) {
    launch_container(*container, second.get(), heap);
  }
  if (const auto* drain = std::get_if<DrainRecipe>(&*recipe)) return drain_for_dead(*drain);
  return stay_with_attempt(std::move(std::get<AttemptRecipe>(*recipe)), std::move(pipe), std::move(second));
}

}  // namespace
}  // namespace dewar

int main(int, char** argv, char** env) {
  dewar::execute_read_only(argv, env);
  const auto first = std::make_unique<char>();
  // No destructors and no exit handlers: after setns(2) for PID namespaces a sanitizer's would fail, and we have none.
  ::_exit(dewar::follow_recipe(first.get()));
}
