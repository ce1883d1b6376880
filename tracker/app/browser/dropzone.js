// One file to choose or drop. It is sent by itself, with its progress shown; the server is told
// when it has arrived, or why it was refused.
export default {
  template: `
    <label class="dropzone" :class="{over, busy: sent !== null}"
      @dragover.prevent="over = true" @dragleave="over = false" @drop.prevent="drop">
      <input type="file" :accept="accept" :aria-label="title" @change="choose" />
      <span class="title">{{ title }}</span>
      <img v-if="thumbnail" :src="thumbnail" :alt="name" />
      <i v-else class="q-icon material-icons" aria-hidden="true">{{ icon }}</i>
      <span v-if="sent !== null" class="state">{{ Math.round(sent * 100) }} % sent</span>
      <span v-else-if="name" class="state">{{ name }}</span>
      <span v-else class="state">{{ hint }}</span>
    </label>`,
  props: {
    title: String, hint: String, icon: String, accept: String,
    address: String, limit: Number, name: String, thumbnail: String,
  },
  data: () => ({over: false, sent: null}),
  methods: {
    choose(event) {
      this.send(event.target.files[0]);
      event.target.value = ""; // so that the same file can be chosen again
    },
    drop(event) {
      this.over = false;
      this.send(event.dataTransfer.files[0]);
    },
    send(file) {
      if (!file || this.sent !== null) return;
      if (file.size > this.limit) {
        this.$emit("refused", `${file.name}: larger than ${Math.round(this.limit / 1e6)} MB, the limit of this app`);
        return;
      }
      const request = new XMLHttpRequest();
      request.open("POST", `${window.path_prefix || ""}${this.address}?name=${encodeURIComponent(file.name)}`);
      request.upload.onprogress = (event) => { if (event.total) this.sent = event.loaded / event.total; };
      request.onload = () => {
        this.sent = null;
        if (request.status === 200) this.$emit("arrived");
        else this.$emit("refused", request.responseText || `${file.name}: not accepted`);
      };
      request.onerror = () => {
        this.sent = null;
        this.$emit("refused", `${file.name}: could not be sent; is the app still running?`);
      };
      this.sent = 0;
      request.send(file);
    },
  },
};
