internal import Dispatch
internal import Glibc
internal import Logging
internal import PluginManifest
internal import Processes
internal import Synchronization

/// How the process is started and heard.
extension PluginSupervisor {
  func spawn(_ incarnation: Int) {
    // The launch may read and hash files.
    DispatchQueue.global().async { @Sendable [self] in
      do {
        let request = try plugin.launch()
        counters.change { $0.starts += 1 }
        tools.spawner.spawn(request) { [self] result in
          switch result {
          case .success(let child): attach(child, incarnation: incarnation)
          case .failure(let error): handle(.spawnFailed(.startFailed("\(error)")), of: incarnation)
          }
        }
      } catch let refusal as LaunchRefused {
        handle(.spawnFailed(.launchRefused(refusal.reason)), of: incarnation)
      } catch {
        handle(.spawnFailed(.startFailed("\(error)")), of: incarnation)
      }
    }
  }

  /// Takes over a new process. On the spawner's thread.
  private func attach(_ child: ChildProcess, incarnation: Int) {
    let report: @Sendable (PluginProcess.Report) -> Void = { self.take($0, of: incarnation) }
    let watch = plugin.watch?(child) { reason in
      self.handle(.faulted(.limitExceeded(reason)), of: incarnation)
    }
    do {
      guard let input = child.standardInput else {
        throw SpawnError(step: .pipe, code: 0, executable: plugin.executable)
      }
      let process = try PluginProcess(
        child: child,
        input: input,
        inFlight: plugin.manifest.limits.inFlight,
        numbers: tools.numbers,
        frames: frames,
        counters: counters,
        noteWork: watch?.noteWork,
        report: report
      )
      let isStillWanted = state.withLock { state in
        state.process = process
        return state.lifecycle.state == .starting && state.lifecycle.incarnation == incarnation
      }
      try LastingThread.start(name: "plugin-" + plugin.manifest.id) { [self] in
        let reader = PluginReader(
          process: process,
          handshake: Handshake(manifest: plugin.manifest, hostVersion: tools.hostVersion),
          handshakeNumber: tools.numbers.next(),
          journal: journal,
          log: frames,
          report: report
        )
        reader.run()
      }
      child.onExit { [self] status in
        watch?.stop()
        process.noteExit()
        guard watch != nil, status == .signaled(SIGKILL) else { return handle(.exited(status), of: incarnation) }
        // The kernel may have killed it for its limits; then the watch says so in a moment, and is to be heard first.
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.watchGrace) { @Sendable [self] in
          handle(.exited(status), of: incarnation)
        }
      }
      if !isStillWanted { child.send(signal: SIGKILL) }
    } catch {
      watch?.stop()
      child.send(signal: SIGKILL)
      handle(.spawnFailed(.startFailed("\(error)")), of: incarnation)
    }
  }

  private func take(_ report: PluginProcess.Report, of incarnation: Int) {
    switch report {
    case .ready:
      handle(.ready, of: incarnation)
      guard let pid = state.withLock({ $0.process?.child.pid }) else { return }
      logger.info("Plugin is running", ["version": plugin.version])
      onEvent(.started(subject, pid: pid))
    case .faulted(let reason): handle(.faulted(reason), of: incarnation)
    case .outputEnded: handle(.outputEnded, of: incarnation)
    case .idle: handle(.idle, of: incarnation)
    case .drained: handle(.drained, of: incarnation)
    }
  }

  func setTimer(_ event: PluginLifecycle.Event, at instant: Instant) {
    let delay = Double(max(0, ContinuousClock.now.duration(to: instant).wholeMilliseconds + 1)) / 1_000
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) { @Sendable [weak self] in
      self?.handle(event, of: nil)
    }
  }
}
