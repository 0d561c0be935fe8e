#include "thermos/explain/explain.h"

#include <algorithm>

#include "thermos/explain/cards.h"
#include "thermos/explain/reasons.h"
#include "thermos/explain/run_death.h"
#include "thermos/explain/waiting.h"
#include "thermos/states.h"

namespace dewar {
namespace {

constexpr std::size_t kProcessesTold = 2;

std::string sentence(const std::string& words) { return one_line(words, kLongestSentence); }

/// What the living processes of a task are at: "serve has run for 5m; report waits for serve".
std::string life_words(const Evidence& evidence) {
  std::string words;
  std::size_t told = 0;
  const auto add = [&](const std::string& name, const std::string& what) {
    words += (words.empty() ? "" : "; ") + name + " " + what;
    ++told;
  };
  for (const ProcessSpec& spec : evidence.plan.processes) {
    const std::string work = at_work(evidence, spec.name);
    if (!work.empty() && told < kProcessesTold) add(spec.name, work);
  }
  for (const ProcessSpec& spec : evidence.plan.processes) {
    if (spec.final || told > kProcessesTold || !runs_in(evidence.history, spec.name).empty()) continue;
    add(spec.name, why_waiting(evidence, spec.name).words);
    break;
  }
  return words;
}

std::string state_words(const TaskHistory& history) { return std::string(to_string(history.state())); }

/// The runs that have ended the task or kept it from ending well: the last of each process that went wrong.
std::vector<std::pair<std::string, int>> guilty_runs(const Evidence& evidence, const Death& death) {
  std::vector<std::pair<std::string, int>> runs;
  for (const ProcessSpec& spec : evidence.plan.processes) {
    const auto& all = runs_in(evidence.history, spec.name);
    if (all.empty() || !is_terminal(all.back().state) || all.back().state == ProcessState::kSuccess) continue;
    const int number = static_cast<int>(all.size()) - 1;
    const Cause cause = death_of_run(evidence, spec.name, number).cause;
    if (cause == Cause::kStopped || cause == Cause::kNotStarted) continue;
    runs.emplace_back(spec.name, number);
  }
  // Of a task whose limit was broken, only the victim tells something.
  if (const auto victim = death.details.find("victim_process"); victim != death.details.end())
    std::erase_if(runs, [&](const auto& run) { return run.first != victim->second; });
  return runs;
}

/// Nobody looks after a task that has not ended.
void tell_unwatched(const Evidence& evidence, Explanation& told) {
  if (evidence.runner_lives || evidence.history.terminal()) return;
  const bool rebooted = rebooted_after(evidence, 0);
  told.cause = rebooted ? Cause::kHostLost : Cause::kRunnerLost;
  told.sentence = sentence(told.task_id + " is " + told.state + ", but " +
                           (rebooted ? "the host was started anew while it ran" : "its runner has died"));
  told.advice = advice_for(told.cause, {});
}

}  // namespace

Explanation explain_task(const Evidence& evidence) {
  Explanation told;
  const Death death = death_of_task(evidence);
  told.task_id = evidence.task_id;
  told.state = state_words(evidence.history);
  told.cause = death.cause;
  if (evidence.history.terminal()) {
    told.sentence = sentence(told.task_id + " " + told.state + (death.words.empty() ? "" : ": " + death.words));
  } else if (evidence.history.state() == TaskState::kActive) {
    const std::string life = life_words(evidence);
    told.sentence = sentence(told.task_id + " is ACTIVE" + (life.empty() ? "" : ": " + life));
  } else {
    told.sentence = sentence(told.task_id + " is " + told.state + (death.words.empty() ? "" : ": " + death.words));
  }
  told.cards = task_cards(evidence, death);
  told.advice = advice_for(death.cause, death.details);
  for (const auto& [process, number] : guilty_runs(evidence, death)) {
    const Death of_run = death_of_run(evidence, process, number);
    told.chain.push_back(process + "#" + std::to_string(number) + ": " + one_line(of_run.words, 1024));
    for (Card& card : run_cards(evidence, process, number, of_run)) told.cards.push_back(std::move(card));
    for (std::string& line : advice_for(of_run.cause, of_run.details))
      if (std::ranges::find(told.advice, line) == told.advice.end()) told.advice.push_back(std::move(line));
  }
  const auto about_pids = [](const Card& card) { return card.title == kPidsTitle; };
  if (told.state == to_string(TaskState::kFailed) && std::ranges::any_of(told.cards, about_pids))
    for (std::string& line : advice_for(Cause::kPids, {})) told.advice.push_back(std::move(line));
  tell_unwatched(evidence, told);
  return told;
}

Explanation explain_process(const Evidence& evidence, const std::string& process, std::optional<int> run) {
  Explanation told;
  told.task_id = evidence.task_id;
  told.process = process;
  const std::string subject = evidence.task_id + "/" + process;
  const auto& runs = runs_in(evidence.history, process);
  const bool begun = !runs.empty() && !(runs.size() == 1 && runs.front().state == ProcessState::kWaiting);
  if (!begun && !run) {
    const Waiting waiting = why_waiting(evidence, process);
    told.state = "WAITING";
    told.cause = !waiting.for_ever ? Cause::kWaiting : waiting.dependency ? Cause::kDependency : Cause::kNotStarted;
    told.sentence = sentence(subject + " " + waiting.words);
    told.chain = waiting.chain;
    told.advice = advice_for(told.cause, {});
    tell_unwatched(evidence, told);
    return told;
  }
  const int number = run.value_or(static_cast<int>(runs.size()) - 1);
  told.run = number;
  if (number < 0 || static_cast<std::size_t>(number) >= runs.size()) {
    told.sentence = sentence(subject + " has no run " + std::to_string(number));
    return told;
  }
  const RunHistory& one = runs[static_cast<std::size_t>(number)];
  const Death death = death_of_run(evidence, process, number);
  const std::string name = subject + "#" + std::to_string(number);
  told.state = to_string(one.state);
  told.cause = death.cause;
  if (!is_terminal(one.state)) {
    told.sentence = sentence(name + " " + at_work(evidence, process));
  } else {
    told.sentence = sentence(name + " " + told.state + (death.words.empty() ? "" : ": " + death.words));
    if (death.cause == Cause::kStopped || death.cause == Cause::kMemory) {
      const Death task = death_of_task(evidence);
      if (!task.words.empty()) told.chain.push_back("the task ended: " + one_line(task.words, 1024));
    }
  }
  told.cards = run_cards(evidence, process, number, death);
  told.advice = advice_for(death.cause, death.details);
  tell_unwatched(evidence, told);
  return told;
}

}  // namespace dewar
