// The site's search runs in a Worker. Browsers refuse a Worker to a page that was opened as a file,
// so there its script runs in a hidden frame, which has the same interface.
if (location.protocol === "file:") {
  class FrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const scope = this.frame.contentWindow;
      scope.document.open();
      scope.document.write("<body></body>");
      scope.document.close();
      scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = scope.document.createElement("script");
      script.src = url;
      this.loaded = new Promise((done, failed) => {
        script.onload = done;
        script.onerror = () => {
          this.dispatchEvent(new Event("error"));
          failed(new Error(`cannot load ${url}`));
        };
      });
      scope.document.body.append(script);
    }

    async postMessage(data) {
      await this.loaded;
      const scope = this.frame.contentWindow;
      scope.dispatchEvent(new scope.MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  }
  window.Worker = FrameWorker;
  window.IFrameWorker = FrameWorker; // the search looks for this name to resolve its paths
}
