"""Track the faces of a clip, frame by frame (extra ``video``); 0 in its place is the camera."""

import mien

for frame in mien.predict_video("clip.mp4"):
    for face in frame.result.faces:
        print(f"{frame.time_s:.2f} s", face.track_id, face.emotion)
