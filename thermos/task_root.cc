#include "thermos/task_root.h"

#include "base/clock.h"
#include "base/units.h"
#include "isolation/id_range.h"
#include "isolation/image/ask.h"
#include "isolation/launch_info.h"
#include "thermos/programs.h"

namespace dewar {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

EventRecord event(const std::string& words) { return {SystemClock().wall(), "root", "", 0, words}; }

/// Of an image's variables PATH takes the place of the host's, the others come before all else.
void take_environment(const Image& image, RunnerSpec& spec) {
  spec.path = kDefaultPath;
  std::vector<std::string> variables;
  for (const std::string& entry : image.config.environment) {
    if (entry.starts_with("PATH=")) {
      spec.path = entry.substr(5);
    } else {
      variables.push_back(entry);
    }
  }
  variables.insert(variables.end(), spec.preserved_environment.begin(), spec.preserved_environment.end());
  spec.preserved_environment = std::move(variables);
}

std::string what_was_done(const Image& image, const std::string& path) {
  if (image.digest.empty()) return "the root is folder " + image.folder;
  std::string words = "the root is " + path + ", " + image.digest;
  if (!image.unpacked) return words + ", which was unpacked already";
  words +=
      ", unpacked to " + format_bytes(image.count.bytes) + " in " + std::to_string(image.count.entries) + " entries";
  if (image.count.skipped > 0)
    words += "; " + std::to_string(image.count.skipped) + " device nodes and sockets were left out";
  return words;
}

}  // namespace

Result<std::vector<EventRecord>> prepare_task_root(RunnerSpec& spec, const std::string& work_dir,
                                                   bool user_is_default) {
  if (spec.sandbox.user_namespace) spec.user.uid = 0, spec.user.gid = 0, spec.user.groups.clear();
  if (spec.sandbox.root.path.empty()) return std::vector<EventRecord>{};
  const std::string program = DEWAR_TRY(find_own_program("dewar-image"));
  const Image image = DEWAR_TRY(ask_for_image(program, spec.sandbox.root, work_dir + "/images"));
  std::vector<EventRecord> events = {event(what_was_done(image, spec.sandbox.root.path))};
  spec.image_folder = image.folder;
  spec.shell = DEWAR_TRY(find_shell(image.folder));
  if (spec.shell != "/bin/bash") events.push_back(event("it has no /bin/bash; command lines run under " + spec.shell));
  take_environment(image, spec);
  if (!user_is_default || image.config.user.empty()) return events;

  User user = DEWAR_TRY(look_up_image_user(image.folder, image.config.user));
  if (spec.sandbox.user_namespace && (user.uid >= kIdCount || user.gid >= kIdCount))
    return fail("the image runs as user " + std::to_string(user.uid) + ", and a user namespace has only " +
                std::to_string(kIdCount) + " ids");
  if (user.uid != 0 && user.gid == 0 && !spec.sandbox.user_namespace) user.gid = user.uid;
  if (user.uid != 0 || spec.sandbox.user_namespace) {
    spec.user = user;
  } else {
    events.push_back(event("it would run as root, which only a task file can ask for; it runs as '" + spec.user.name +
                           "' (user: root, or user_namespace: true)"));
  }
  return events;
}

Result<void> reserve_task_ids(RunnerSpec& spec) {
  if (!spec.sandbox.user_namespace) return {};
  const std::string finished = spec.run_folder + "/checkpoints/tasks/finished/" + spec.task_id;
  spec.first_id = DEWAR_TRY(reserve_id_range({spec.run_folder, finished}));
  spec.user.uid += spec.first_id;
  spec.user.gid += spec.first_id;
  return {};
}

}  // namespace dewar
