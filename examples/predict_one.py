"""Read one photo."""

import mien

result = mien.predict("photo.jpg")
for face in result.faces:
    print(face.emotion, f"{face.confidence:.0%}", face.box_xyxy)
result.save("annotated.png")
